"""Stage `speaker`: the speaker encoder learns to say of a recording what a larger one says of it.

Distilled, not trained to tell our few voices apart, so that a voice it never heard lands beside those it resembles.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.functional import resample

from serve_app.training.codes import EncodedVoice
from serve_app.training.loop import Rhythm
from serve_app.training.references import draw_reference
from serve_app.training.speaker_teacher import SpeakerTeacher
from serve_app.training.spectrogram import SAMPLE_RATE_HZ

logger = logging.getLogger(__name__)

BATCH = 24
SECONDS = 2.4
LEARNING_RATE = 1e-3
NOISE = (0.0, 0.01)  # root mean square of added noise
WARMUP_STEPS = 40
RHYTHM = Rhythm(report_every=25, save_every_s=60.0)


class SpeakerLearner:
    def __init__(self, encoder: nn.Module, voices: Sequence[EncodedVoice]) -> None:
        self._encoder, self._voices = encoder.train(), voices
        self._device = next(encoder.parameters()).device
        self._teacher = SpeakerTeacher().to(self._device)
        self._optimizer = torch.optim.AdamW(encoder.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)

    def state_dict(self) -> dict[str, Any]:
        return {"encoder": self._encoder.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self._encoder.load_state_dict(saved["encoder"])
        self._optimizer.load_state_dict(saved["optimizer"])

    def learn(self, step: int, share: float) -> dict[str, float]:
        draw = np.random.default_rng([23, step])
        for group in self._optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / WARMUP_STEPS) * share
        clean = draw_voices(self._voices, draw).to(self._device)
        target = self._teacher(clean).clone()
        is_noisy = torch.rand(len(clean), 1, device=self._device) < 0.5
        noise = torch.randn_like(clean) * float(draw.uniform(*NOISE)) * is_noisy
        found = functional.normalize(self._encoder(clean + noise), dim=1)
        distance = (1.0 - (found * target).sum(dim=1)).mean()
        between = (found @ found.T - target @ target.T).pow(2).mean()
        (distance + between).backward()
        nn.utils.clip_grad_norm_(self._encoder.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return {"distance": distance.item(), "between": between.item()}

    def validate(self) -> dict[str, float]:
        return {}


def draw_voices(voices: Sequence[EncodedVoice], draw: np.random.Generator) -> Tensor:
    """[batch, n] at 16 kHz: voices drawn evenly, each replayed a little faster or slower: another voice."""
    pieces: list[Tensor] = []
    length = int(SECONDS * 16_000)
    for voice in draw.choice(len(voices), size=BATCH):
        rate_hz = int(round(SAMPLE_RATE_HZ * draw.uniform(0.85, 1.18) / 350) * 350)
        needed = int(SECONDS * rate_hz) + 400
        samples = resample(draw_reference(voices[voice], needed, draw), rate_hz, 16_000, lowpass_filter_width=4)
        pieces.append(samples[:length])
    return torch.stack(pieces)
