"""What the conditioning encoder hears in training: seconds of a voice's recordings as mel frames, varied in the way
that rooms and microphones vary."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

from serve_app.model.conditioning import mel_spectrogram
from serve_app.training.codes import EncodedVoice
from serve_app.training.spectrogram import SAMPLE_RATE_HZ

REFERENCE_S = 12.0  # of a voice's recordings, which latents that are kept are made of

MIN_S, MAX_S = 2.0, 4.0  # 4 s is what a chunk of a reference has when the model serves
FLOOR = 1e-5
CLEAN_SHARE = 0.4  # of the references, so many are left as they are
MAX_GAIN = 1.5  # natural logarithm of the power gain, either way
MAX_TILT = 1.5  # of the gain between the lowest and the highest band, and of the slower waves between
NOISE_LEVELS = (-11.0, -5.0)  # log power of added noise


@lru_cache
def _mel() -> MelSpectrogram:
    return mel_spectrogram()


def reference_mel(samples: Tensor, mel_stats: Tensor) -> Tensor:
    """[voices, n] at 22.05 kHz → [voices, 80, frames], as `VoiceEncoder` makes them; `mel_stats` [80]."""
    mel: Tensor = torch.log(torch.clamp(_mel()(samples), min=FLOOR)) / mel_stats[None, :, None]
    return mel


def draw_reference(voice: EncodedVoice, num_samples: int, draw: np.random.Generator) -> Tensor:
    """[num_samples] of the voice's speech, from recordings one after another."""
    pieces: list[Tensor] = []
    missing = num_samples
    while missing > 0:
        recording = voice.recordings[draw.integers(len(voice.recordings))]
        pieces.append(torch.from_numpy(voice.folder.samples(recording))[:missing])
        missing -= len(pieces[-1])
    return torch.cat(pieces)


def draw_length(draw: np.random.Generator) -> int:
    return int(draw.uniform(MIN_S, MAX_S) * SAMPLE_RATE_HZ)


def vary(mel: Tensor, mel_stats: Tensor, draw: np.random.Generator) -> Tensor:
    """Reference mels with another loudness, another microphone's curve and some noise, each voice its own."""
    voices, bands, _ = mel.shape
    generator = torch.Generator().manual_seed(int(draw.integers(2**31)))
    position = torch.linspace(0.0, np.pi, bands)
    waves = torch.stack([torch.cos(position * order) for order in range(4)])  # [4, bands]
    amounts = torch.rand(voices, 4, generator=generator) * 2.0 - 1.0
    curve = (amounts * torch.tensor([MAX_GAIN, MAX_TILT, MAX_TILT / 2, MAX_TILT / 2])) @ waves
    low, high = NOISE_LEVELS
    noise = low + (high - low) * torch.rand(voices, 1, 1, generator=generator)
    log_power = mel * mel_stats[None, :, None]
    varied = torch.logaddexp(log_power + curve[:, :, None], noise) / mel_stats[None, :, None]
    is_clean = torch.rand(voices, 1, 1, generator=generator) < CLEAN_SHARE
    return torch.where(is_clean, mel, varied)
