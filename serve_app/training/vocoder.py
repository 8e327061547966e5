"""Stage `vocoder`: frames and a speaker's vector to samples. First by spectral distance alone, then against
discriminators; first from the recordings' own patches, then from the GPT's latents.
"""

import logging
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from serve_app.training.device import half_precision
from serve_app.training.discriminators import Discriminators, discriminator_loss, generator_losses
from serve_app.training.loop import Rhythm
from serve_app.training.spectrogram import mel_filters
from serve_app.training.vocoder_module import VocoderModule

logger = logging.getLogger(__name__)

SAMPLE_RATE_HZ = 24_000
RESOLUTIONS = ((256, 20), (512, 40), (1_024, 80), (2_048, 120))  # FFT size, mel bands


@dataclass(frozen=True)
class VocoderTraining:
    learning_rate: float = 8e-4
    warmup_steps: int = 200
    betas: tuple[float, float] = (0.8, 0.98)
    batch: int = 16
    num_frames: int = 40
    adversarial_from: int = 3_000  # steps
    mel_weight: float = 15.0
    passing_weight: float = 1.0
    alike_weight: float = 2.0
    rhythm: Rhythm = field(default_factory=Rhythm)


@dataclass(frozen=True)
class Windows:
    """`frames` [batch, input width, n], `speaker` [batch, speaker width], `samples` [batch, 256 n]."""

    frames: Tensor
    speaker: Tensor
    samples: Tensor

    def to(self, device: torch.device) -> "Windows":
        return Windows(self.frames.to(device), self.speaker.to(device), self.samples.to(device))


class WindowSource(Protocol):
    def draw(self, batch: int, num_frames: int, draw: np.random.Generator) -> Windows: ...


def spectral_distance(made: Tensor, real: Tensor) -> Tensor:
    """Mean over resolutions of the distance of log-mel magnitudes."""
    distances: list[Tensor] = []
    for size, bands in RESOLUTIONS:
        window = torch.hann_window(size, device=made.device)
        filters = mel_filters(SAMPLE_RATE_HZ, size, SAMPLE_RATE_HZ / 2, bands).to(made.device)

        def log_mel(samples: Tensor, size: int = size, window: Tensor = window, filters: Tensor = filters) -> Tensor:
            spectrum = torch.stft(samples, size, size // 4, window=window, return_complex=True)
            magnitude = (spectrum.real.pow(2) + spectrum.imag.pow(2) + 1e-9).sqrt()
            return (filters.T @ magnitude).clamp_min(1e-5).log()

        distances.append((log_mel(made) - log_mel(real)).abs().mean())
    return torch.stack(distances).mean()


class VocoderLearner:
    def __init__(self, module: VocoderModule, source: WindowSource, how: VocoderTraining) -> None:
        self.module, self._source, self._how = module, source, how
        self._device = next(module.parameters()).device
        self.discriminators = Discriminators().to(self._device)
        self._optimizer = torch.optim.AdamW(module.parameters(), how.learning_rate, how.betas, fused=True)
        self._opponent = torch.optim.AdamW(self.discriminators.parameters(), how.learning_rate, how.betas, fused=True)

    def state_dict(self) -> dict[str, Any]:
        return {
            "module": self.module.state_dict(),
            "discriminators": self.discriminators.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "opponent": self._opponent.state_dict(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.module.load_state_dict(saved["module"])
        self.discriminators.load_state_dict(saved["discriminators"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self._opponent.load_state_dict(saved["opponent"])

    def learn(self, step: int, share: float) -> dict[str, float]:
        how = self._how
        rate = how.learning_rate * min(1.0, (step + 1) / how.warmup_steps) * share
        for group in (*self._optimizer.param_groups, *self._opponent.param_groups):
            group["lr"] = rate
        windows = self._source.draw(how.batch, how.num_frames, np.random.default_rng([29, step])).to(self._device)
        return self._learn_from(windows, step >= how.adversarial_from)

    def validate(self) -> dict[str, float]:
        return {}

    def _learn_from(self, windows: Windows, is_adversarial: bool) -> dict[str, float]:
        how = self._how
        with half_precision(self._device):
            made = self.module(windows.frames, windows.speaker)
        found: dict[str, float] = {}
        distance = spectral_distance(made, windows.samples)
        total = how.mel_weight * distance
        if is_adversarial:
            with half_precision(self._device):
                real = self.discriminators(windows.samples)
                judged = self.discriminators(made.detach())
            opposed = discriminator_loss(real, judged)
            opposed.backward()
            nn.utils.clip_grad_norm_(self.discriminators.parameters(), 10.0)
            self._opponent.step()
            self._opponent.zero_grad(set_to_none=True)
            self.discriminators.requires_grad_(False)
            with half_precision(self._device):
                real = self.discriminators(windows.samples)
                judged = self.discriminators(made)
            self.discriminators.requires_grad_(True)
            passing, alike = generator_losses(real, judged)
            total = total + how.passing_weight * passing + how.alike_weight * alike
            found = {"opposed": opposed.item(), "passing": passing.item(), "alike": alike.item()}
        total.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 10.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return {"distance": distance.item(), **found}
