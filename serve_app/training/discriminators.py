"""What tells the vocoder's samples from recordings: HiFi-GAN's by period, UnivNet's by spectrogram, both small."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

PERIODS = (2, 3, 5, 7, 11)
PERIOD_CHANNELS = (16, 48, 96, 192)
FFT_SIZES = (512, 1_024, 2_048)
SPECTRUM_CHANNELS = 16
SLOPE = 0.1

Judgement = tuple[Tensor, list[Tensor]]  # scores, and what every layer saw


class PeriodDiscriminator(nn.Module):
    """Samples folded into rows of one period (Kong et al. 2020)."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self._period = period
        sizes = (1, *PERIOD_CHANNELS)
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(num_in, num_out, (5, 1), (3, 1), (2, 0))) for num_in, num_out in pairwise(sizes)
        )
        self.last = weight_norm(nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, samples: Tensor) -> Judgement:
        rest = -samples.shape[1] % self._period
        x = functional.pad(samples, (0, rest), mode="reflect").view(len(samples), 1, -1, self._period)
        return _judge(self.convs, self.last, x)


class SpectrumDiscriminator(nn.Module):
    """Magnitudes at one resolution (Jang et al. 2021)."""

    def __init__(self, fft_size: int) -> None:
        super().__init__()
        self._fft_size = fft_size
        width = SPECTRUM_CHANNELS
        sizes = (1, width, width, width, width)
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(num_in, num_out, (9, 3), (1 if number == 0 else 2, 1), (4, 1)))
            for number, (num_in, num_out) in enumerate(pairwise(sizes))
        )
        self.last = weight_norm(nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, samples: Tensor) -> Judgement:
        window = torch.hann_window(self._fft_size, device=samples.device)
        spectrum = torch.stft(samples, self._fft_size, self._fft_size // 4, window=window, return_complex=True)
        return _judge(self.convs, self.last, spectrum.abs().clamp_min(1e-5).log()[:, None])


def _judge(convs: nn.ModuleList, last: nn.Module, x: Tensor) -> Judgement:
    x = x.contiguous(memory_format=torch.channels_last)
    seen: list[Tensor] = []
    for conv in convs:
        x = functional.leaky_relu(conv(x), SLOPE)
        seen.append(x)
    return last(x), seen


class Discriminators(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.all = nn.ModuleList(
            [*(PeriodDiscriminator(period) for period in PERIODS), *(SpectrumDiscriminator(size) for size in FFT_SIZES)]
        )

    def forward(self, samples: Tensor) -> list[Judgement]:
        """[batch, n] → one judgement each."""
        return [each(samples) for each in self.all]


def discriminator_loss(real: list[Judgement], made: list[Judgement]) -> Tensor:
    """Least squares: recordings are 1, what was made is 0."""
    parts = [(1.0 - r[0].float()).pow(2).mean() + m[0].float().pow(2).mean() for r, m in zip(real, made, strict=True)]
    return torch.stack(parts).mean()


def generator_losses(real: list[Judgement], made: list[Judgement]) -> tuple[Tensor, Tensor]:
    """(passing for a recording, looking alike to every layer)."""
    passing = torch.stack([(1.0 - m[0].float()).pow(2).mean() for m in made]).mean()
    alike = torch.stack([
        (r_layer.detach().float() - m_layer.float()).abs().mean()
        for r, m in zip(real, made, strict=True) for r_layer, m_layer in zip(r[1], m[1], strict=True)
    ]).mean()  # fmt: skip
    return passing, alike
