"""From latents to the vocoder's frames: stretch by speed, ×4, ×24000/22050, each by linear interpolation.

Any run of frames can be made from the latents so far, on whole-sequence coordinates, so that a stream cut anywhere has
the same frames as the whole. Formulas: `torch.nn.functional.interpolate(mode="linear")` with a given scale factor, as
coqui's `Xtts.inference` and `HifiDecoder.forward` call it, in the same float32 arithmetic. Two things differ: a single
code is heard at every speed, and an output as long as its input (one or two codes, or a speed next to 1) is no plain
copy, because a stream does not know its length.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from serve_app.model.config import CODE_STRIDE, VocoderConfig


@dataclass(frozen=True)
class Stage:
    """One interpolation by a scale factor."""

    factor: float

    def num_out(self, num_in: int) -> int:
        return max(min(num_in, 1), math.floor(num_in * self.factor))

    def sources(self, start: int, stop: int) -> Tensor:
        """Where outputs start … stop lie on the input, [stop − start] float32, the first clamped at 0."""
        inverse = torch.tensor(1.0 / self.factor, dtype=torch.float32).double()
        outputs = torch.arange(start, stop, dtype=torch.float64)
        # rounded once, as the reference's fused multiply-add: rounding twice moves late frames by 1e-4
        return (inverse * (outputs + 0.5) - 0.5).float().clamp_min(0.0)

    def num_settled(self, num_in: int) -> int:
        """Outputs that no further input can change: both neighbours are at hand."""
        bound = self.num_out(num_in)
        start = max(0, bound - math.ceil(2 * self.factor) - 2)
        right = self.sources(start, bound).floor().long() + 1
        return start + int((right <= num_in - 1).sum())


class FrameGrid:
    """Frames of one sequence at one speed (0.5 … 2.0; duration is divided by it). One frame is `hop_length` samples."""

    def __init__(self, config: VocoderConfig, speed: float) -> None:
        stages = [
            Stage(CODE_STRIDE / config.hop_length),
            Stage(config.output_sample_rate_hz / config.input_sample_rate_hz),
        ]
        if speed != 1.0:
            stages.insert(0, Stage(1.0 / max(speed, 0.05)))
        if config.output_sample_rate_hz == config.input_sample_rate_hz:
            stages.pop()
        self._stages = tuple(stages)

    def num_frames(self, num_latents: int) -> int:
        """Frames of a finished sequence."""
        for stage in self._stages:
            num_latents = stage.num_out(num_latents)
        return num_latents

    def num_settled(self, num_latents: int) -> int:
        """Frames of a growing sequence that later latents cannot change."""
        for stage in self._stages:
            num_latents = stage.num_settled(num_latents)
        return num_latents

    def frames(self, latents: Tensor, start: int, stop: int) -> Tensor:
        """Frames start … stop [stop − start, width] from the latents so far [num_latents, width]."""
        sizes = [latents.shape[0]]
        for stage in self._stages:
            sizes.append(stage.num_out(sizes[-1]))
        assert 0 <= start < stop <= sizes[-1], (start, stop, sizes)
        return self._resample(latents, sizes, len(self._stages), start, stop)

    def _resample(self, latents: Tensor, sizes: list[int], depth: int, start: int, stop: int) -> Tensor:
        if depth == 0:
            return latents[start:stop]
        sources = self._stages[depth - 1].sources(start, stop)
        left = sources.floor().long()
        right = (left + 1).clamp_max(sizes[depth - 1] - 1)
        weight = (sources - left).to(latents.device, latents.dtype).unsqueeze(1)
        low, high = int(left[0]), int(right[-1]) + 1
        inputs = self._resample(latents, sizes, depth - 1, low, high)
        left, right = (left - low).to(latents.device), (right - low).to(latents.device)
        return inputs[left] * (1.0 - weight) + inputs[right] * weight
