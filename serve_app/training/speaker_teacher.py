"""Resemblyzer's speaker encoder (Apache-2.0), from the weights that its package carries: who is speaking, as a vector.

Loaded here because its package cannot be imported without a compiler for one of its dependencies. Same numbers as
`resemblyzer.VoiceEncoder` on one partial utterance.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.transforms import MelSpectrogram

SAMPLE_RATE_HZ = 16_000
EMBEDDING_SIZE = 256
LOUDNESS = 10 ** (-30 / 20)  # root mean square it expects
PARTIAL_S = 1.6


class SpeakerTeacher(nn.Module):
    def __init__(self) -> None:
        """Raises ImportError where the package is not installed."""
        super().__init__()
        spec = find_spec("resemblyzer")
        if spec is None or spec.origin is None:
            raise ImportError("resemblyzer is not installed; run: pip install --no-deps resemblyzer")
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, EMBEDDING_SIZE)
        saved: Any = torch.load(Path(spec.origin).parent / "pretrained.pt", map_location="cpu", weights_only=True)
        self.load_state_dict(saved["model_state"], strict=False)
        self._mel = MelSpectrogram(
            SAMPLE_RATE_HZ, n_fft=400, hop_length=160, n_mels=40, norm="slaney", mel_scale="slaney"
        )
        self.requires_grad_(False).eval()

    @torch.inference_mode()
    def forward(self, samples: Tensor) -> Tensor:
        """[batch, n] at 16 kHz → [batch, 256] of length 1. Best on 1.6 s; longer is cut into halves that overlap."""
        loudness = samples.pow(2).mean(dim=1, keepdim=True).sqrt().clamp_min(1e-6)
        mel = self._mel(samples * (LOUDNESS / loudness)).transpose(1, 2)  # [batch, frames, 40]
        size = int(PARTIAL_S * 100)
        starts = range(0, max(1, mel.shape[1] - size + 1), size // 2)
        partials = torch.stack([self._embed(mel[:, start : start + size]) for start in starts])
        return functional.normalize(partials.mean(dim=0), dim=1)

    def _embed(self, mel: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(mel)
        return functional.normalize(functional.relu(self.linear(hidden[-1])), dim=1)
