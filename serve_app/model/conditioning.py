"""A reference recording's samples → `VoiceLatents`, numerically as coqui's `Xtts.get_conditioning_latents`.

Holds the weights of the conditioning encoder, the perceiver and the speaker encoder, and nothing else of the model.
Decoding, resampling to 22.05 kHz and trimming are the caller's.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchaudio.functional import resample
from torchaudio.transforms import MelSpectrogram

from serve_app.errors import ReferenceTooShort
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.device import stream_of
from serve_app.model.modules import (
    NUM_MELS,
    SPEAKER_ENCODER_AUDIO,
    build_conditioning_encoder,
    build_perceiver,
    build_speaker_encoder,
    fill,
)
from serve_app.model.state_dict import CONDITIONING_ENCODER, MEL_STATS, PERCEIVER, SPEAKER_ENCODER
from serve_app.voices.voice import VoiceLatents

REFERENCE_RATE_HZ = 22_050
MIN_CHUNK_S = 0.33  # a shorter rest is left out, as in coqui's get_gpt_cond_latents
PEAK = 0.75  # what sound_norm_refs scales the loudest sample to


class VoiceEncoder:
    """Float32 on any device. `encode` may be called from several threads."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device | str = "cpu") -> None:
        """Copies the weights it needs, so that the checkpoint's tensors can be dropped."""
        config, tensors = checkpoint.config, checkpoint.tensors
        self._config = config.conditioning
        self._device = torch.device(device)
        self._conditioning_encoder = fill(build_conditioning_encoder(config.gpt), tensors, CONDITIONING_ENCODER, device)
        self._perceiver = fill(build_perceiver(config.gpt), tensors, PERCEIVER, device)
        self._speaker_encoder = fill(build_speaker_encoder(config.vocoder), tensors, SPEAKER_ENCODER, device)
        self._mel_stats = tensors[MEL_STATS].to(device, copy=True)[None, :, None]  # [1, 80, 1]
        self._mel = mel_spectrogram().to(device)
        self._stream = None
        if self._device.type == "cuda":
            self._stream = stream_of(self._device, "voice")  # beside the steps of running speech, not between them
            self._stream.wait_stream(torch.cuda.current_stream(self._device))

    def encode(self, samples: npt.NDArray[np.float32]) -> VoiceLatents:
        """Samples [n] at 22.05 kHz → latents on the CPU. Only the first `max_reference_s` seconds count.

        Raises ReferenceTooShort below 0.33 s.
        """
        with torch.cuda.stream(self._stream):  # None: as it is
            return self._encode(samples)

    def _encode(self, samples: npt.NDArray[np.float32]) -> VoiceLatents:
        audio = torch.tensor(samples, dtype=torch.float32, device=self._device)[None]  # [1, n]
        audio = audio[:, : REFERENCE_RATE_HZ * self._config.max_reference_s]
        if audio.shape[1] < REFERENCE_RATE_HZ * MIN_CHUNK_S:
            raise ReferenceTooShort(
                "the reference recording has less than a third of a second of sound. Record 6 to 15 seconds of speech."
            )
        if self._config.normalize_volume:
            audio = audio / audio.abs().max().clamp(min=1e-8) * PEAK
        # Cloned outside inference mode, so that autograd too can use them.
        return VoiceLatents(
            cond_latents=self._cond_latents(audio).cpu().clone(),
            speaker_embedding=self._speaker_embedding(audio).cpu().clone(),
        )

    @torch.inference_mode()
    def _cond_latents(self, audio: Tensor) -> Tensor:
        """[1, n] → [32, width]: the mean over chunks of what the perceiver makes of each."""
        if self._config.length_s > 0:
            audio = audio[:, : REFERENCE_RATE_HZ * self._config.length_s]
        size = REFERENCE_RATE_HZ * self._config.chunk_s
        num_whole = audio.shape[1] // size
        whole, rest = audio[:, : num_whole * size].view(num_whole, size), audio[:, num_whole * size :]
        # at once on a GPU; a CPU's caches like them one by one (measured: a tenth faster)
        chunks = list(whole.split(num_whole if self._device.type == "cuda" else 1)) if num_whole else []
        if rest.shape[1] >= REFERENCE_RATE_HZ * MIN_CHUNK_S:
            chunks.append(rest)
        return torch.cat([self._chunk_latents(each) for each in chunks]).mean(dim=0)

    def _chunk_latents(self, chunks: Tensor) -> Tensor:
        """[chunks, n] → [chunks, 32, width]."""
        mel = torch.log(torch.clamp(self._mel(chunks), min=1e-5)) / self._mel_stats  # [chunks, 80, frames]
        frames: Tensor = self._conditioning_encoder(mel)  # [chunks, width, frames]
        latents: Tensor = self._perceiver(frames.transpose(1, 2))  # [chunks, 32, width]
        return latents

    @torch.inference_mode()
    def _speaker_embedding(self, audio: Tensor) -> Tensor:
        """[1, n] → [512], of length 1."""
        audio = resample(audio, REFERENCE_RATE_HZ, int(SPEAKER_ENCODER_AUDIO["sample_rate"]))
        embedding: Tensor = self._speaker_encoder(audio, l2_norm=True)
        return embedding[0]


def mel_spectrogram() -> MelSpectrogram:
    """Parameters of `TTS.tts.models.xtts.Xtts.get_gpt_cond_latents` with the perceiver on."""
    return MelSpectrogram(
        n_fft=2048,
        hop_length=256,
        win_length=1024,
        power=2,
        normalized=False,
        sample_rate=REFERENCE_RATE_HZ,
        f_min=0,
        f_max=8000,
        n_mels=NUM_MELS,
        norm="slaney",
    )
