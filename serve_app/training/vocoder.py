"""Stage `vocoder`: frames and a speaker's vector to samples. First by spectral distance alone, then against
discriminators; first from the recordings' own patches, then from the GPT's latents.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from serve_app.training.device import half_precision
from serve_app.training.discriminators import Discriminators, discriminator_loss, generator_losses
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
    report_every: int = 50
    save_every_s: float = 240.0


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


@dataclass
class VocoderState:
    step: int = 0
    adversarial_steps: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


class VocoderTrainer:
    def __init__(self, module: VocoderModule, how: VocoderTraining, checkpoint_file: Path) -> None:
        self.module, self._how, self._file = module, how, checkpoint_file
        self._device = next(module.parameters()).device
        self.discriminators = Discriminators().to(self._device)
        self._optimizer = torch.optim.AdamW(module.parameters(), how.learning_rate, how.betas, fused=True)
        self._opponent = torch.optim.AdamW(self.discriminators.parameters(), how.learning_rate, how.betas, fused=True)
        self.state = VocoderState()
        if checkpoint_file.is_file():
            saved: dict[str, Any] = torch.load(checkpoint_file, map_location="cpu", weights_only=True)
            module.load_state_dict(saved["module"])
            self.discriminators.load_state_dict(saved["discriminators"])
            self._optimizer.load_state_dict(saved["optimizer"])
            self._opponent.load_state_dict(saved["opponent"])
            self.state = VocoderState(**saved["state"])

    def save(self) -> None:
        partial = self._file.with_suffix(".partial")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "module": self.module.state_dict(),
            "discriminators": self.discriminators.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "opponent": self._opponent.state_dict(),
            "state": asdict(self.state),
        }
        torch.save(content, partial)
        partial.replace(self._file)

    def run(
        self, source: WindowSource, stop: Callable[[int], tuple[bool, float]], report: Callable[[str], None]
    ) -> None:
        """Until `stop(step)` says so; it also gives the share of the learning rate for the step."""
        how, state = self._how, self.state
        last_saved_s = started_s = time.monotonic()
        sums: dict[str, float] = {}
        while True:
            is_over, share = stop(state.step)
            if is_over:
                break
            draw = np.random.default_rng([29, state.step])
            rate = how.learning_rate * min(1.0, (state.step + 1) / how.warmup_steps) * share
            for group in (*self._optimizer.param_groups, *self._opponent.param_groups):
                group["lr"] = rate
            windows = source.draw(how.batch, how.num_frames, draw)
            for key, value in self._step(windows, state.step >= how.adversarial_from).items():
                sums[key] = sums.get(key, 0.0) + value
            state.step += 1
            if state.step % how.report_every == 0:
                now_s = time.monotonic()
                state.seconds += now_s - started_s
                started_s = now_s
                means = {key: value / how.report_every for key, value in sums.items()}
                sums.clear()
                state.history.append({"step": state.step, "seconds": state.seconds, **means})
                report(
                    f"step {state.step} ({state.seconds:.0f} s)  " + "  ".join(f"{k} {v:.3f}" for k, v in means.items())
                )
                if now_s - last_saved_s > how.save_every_s:
                    self.save()
                    last_saved_s = now_s
        self.save()

    def _step(self, windows: Windows, is_adversarial: bool) -> dict[str, float]:
        how = self._how
        windows = windows.to(self._device)
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
            self.state.adversarial_steps += 1
            found = {"opposed": opposed.item(), "passing": passing.item(), "alike": alike.item()}
        total.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 10.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return {"distance": distance.item(), **found}
