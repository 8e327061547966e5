"""Samples ↔ log-mel patches: the four frames of 256 samples that one code stands for."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional
from torchaudio.functional import melscale_fbanks

from serve_app.model.config import CODE_STRIDE

SAMPLE_RATE_HZ = 22_050
NUM_MELS = 80
HOP = 256
FFT_SIZE = 1_024
FRAMES_PER_PATCH = CODE_STRIDE // HOP
PATCH_SIZE = FRAMES_PER_PATCH * NUM_MELS
MAX_HZ = 8_000.0
FLOOR = 1e-5


@lru_cache
def mel_filters(sample_rate_hz: int, fft_size: int, max_hz: float = MAX_HZ, num_mels: int = NUM_MELS) -> Tensor:
    """[fft_size // 2 + 1, num_mels], Slaney's scale and norm as in coqui's TorchMelSpectrogram."""
    filters: Tensor = melscale_fbanks(fft_size // 2 + 1, 0.0, max_hz, num_mels, sample_rate_hz, norm="slaney")
    return filters


def patches(samples: Tensor) -> Tensor:
    """Samples [n] → [ceil(n / 1024), 320]: natural logarithms of mel magnitudes, frame by frame.

    A frame is centred on its own 256 samples, so that a patch is of its own 1,024 and no others.
    """
    num_frames = -(-samples.shape[0] // CODE_STRIDE) * FRAMES_PER_PATCH
    left = (FFT_SIZE - HOP) // 2
    padded = functional.pad(samples, (left, num_frames * HOP - samples.shape[0] + FFT_SIZE - HOP - left))
    window = torch.hann_window(FFT_SIZE, device=samples.device)
    spectrum = torch.stft(padded, FFT_SIZE, HOP, window=window, center=False, return_complex=True).abs()
    mel = mel_filters(SAMPLE_RATE_HZ, FFT_SIZE).to(samples.device).T @ spectrum
    return mel.clamp_min(FLOOR).log().T.reshape(-1, PATCH_SIZE)
