"""From latents to the vocoder's frames: stretch by speed, ×4, ×24000/22050, each by linear interpolation.

Any run of frames can be made from the latents so far, on whole-sequence coordinates, so that a stream cut anywhere has
the same frames as the whole. Formulas: `torch.nn.functional.interpolate(mode="linear")` with a given scale factor, as
coqui's `Xtts.inference` and `HifiDecoder.forward` call it. All stages are joined: a frame is a sum of a few latents,
neighbours, whose weights are reckoned here, on the host. Two things differ: a single code is heard at every speed, and
an output as long as its input (one or two codes, or a speed next to 1) is no plain copy, because a stream does not know
its length.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from serve_app.model.config import CODE_STRIDE, VocoderConfig

MAX_SPEED = 2.0  # of which `NUM_TAPS` are enough
NUM_TAPS = 6  # at speed 1 three of them count


@dataclass(frozen=True)
class Taps:
    """Frames as sums of latents: frame i is the sum over t of `weights[i, t]` × latent `first[i] + t`.

    A tap past the last latent has a weight of 0.
    """

    first: npt.NDArray[np.int64]  # [frames]
    weights: npt.NDArray[np.float32]  # [frames, taps]

    def __getitem__(self, part: slice) -> "Taps":
        return Taps(self.first[part], self.weights[part])

    def index(self, num_latents: int) -> npt.NDArray[np.int64]:
        """The latent of each tap [frames, taps]; the last one for those past it."""
        return (self.first[:, None] + np.arange(self.weights.shape[1])).clip(max=num_latents - 1)


def tapped(latents: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """Rows of `latents` [rows, width] at `index`, weighted with `weights`, both [frames, taps] → [frames, width].

    The sum is made tap by tap, so that a frame has the same bits wherever it is cut out.
    """
    frames = latents[index[:, 0]] * weights[:, :1]
    for tap in range(1, weights.shape[1]):
        frames.addcmul_(latents[index[:, tap]], weights[:, tap : tap + 1])
    return frames


@dataclass(frozen=True)
class Stage:
    """One interpolation by a scale factor."""

    factor: float

    def num_out(self, num_in: int) -> int:
        return max(min(num_in, 1), math.floor(num_in * self.factor))

    def sources(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Where outputs start … stop lie on the input, [stop − start], the first clamped at 0."""
        inverse = np.float64(np.float32(1.0 / self.factor))
        outputs = np.arange(start, stop, dtype=np.float64)
        # rounded once, as the reference's fused multiply-add: rounding twice moves late frames by 1e-4
        return (inverse * (outputs + 0.5) - 0.5).astype(np.float32).clip(0.0)

    def num_settled(self, num_in: int) -> int:
        """Outputs that no further input can change: both neighbours are at hand."""
        bound = self.num_out(num_in)
        start = max(0, bound - math.ceil(2 * self.factor) - 2)
        return start + int((np.floor(self.sources(start, bound)) + 1 <= num_in - 1).sum())


class FrameGrid:
    """Frames of a sequence at one speed (0.5 … 2.0; duration is divided by it). One frame is `hop_length` samples.

    Holds nothing of a sequence: `grid_of` gives one for all of a speed, to all threads.
    """

    def __init__(self, config: VocoderConfig, speed: float) -> None:
        assert 0.0 < speed <= MAX_SPEED
        stages = [
            Stage(CODE_STRIDE / config.hop_length),
            Stage(config.output_sample_rate_hz / config.input_sample_rate_hz),
        ]
        if speed != 1.0:
            stages.insert(0, Stage(1.0 / speed))
        if config.output_sample_rate_hz == config.input_sample_rate_hz:
            stages.pop()
        self._stages = tuple(stages)
        self._settled: dict[int, int] = {}
        self._known = self._reckon(0, 0, 0)  # of settled frames, which are the same in every sequence

    def num_frames(self, num_latents: int) -> int:
        """Frames of a finished sequence."""
        for stage in self._stages:
            num_latents = stage.num_out(num_latents)
        return num_latents

    def num_settled(self, num_latents: int) -> int:
        """Frames of a growing sequence that later latents cannot change."""
        settled = self._settled.get(num_latents)
        if settled is None:
            settled = num_latents
            for stage in self._stages:
                settled = stage.num_settled(settled)
            self._settled[num_latents] = settled
        return settled

    def taps(self, num_latents: int, start: int, stop: int) -> Taps:
        """Of frames start … stop from the latents so far."""
        assert 0 <= start < stop <= self.num_frames(num_latents), (start, stop, num_latents)
        settled = self.num_settled(num_latents)
        if stop > settled:
            return self._reckon(num_latents, start, stop)
        known = self._known
        if stop > len(known.first):
            self._known = known = self._reckon(num_latents, 0, settled)
        return known[start:stop]

    def frames(self, latents: Tensor, start: int, stop: int) -> Tensor:
        """Frames start … stop [stop − start, width] from the latents so far [num_latents, width]."""
        taps = self.taps(latents.shape[0], start, stop)
        index, weights = torch.from_numpy(taps.index(latents.shape[0])), torch.from_numpy(taps.weights)
        return tapped(latents, index.to(latents.device), weights.to(latents.device, latents.dtype))

    def _reckon(self, num_latents: int, start: int, stop: int) -> Taps:
        sizes = [num_latents]
        for stage in self._stages:
            sizes.append(stage.num_out(sizes[-1]))
        return self._joined(sizes, len(self._stages), start, stop)

    def _joined(self, sizes: list[int], depth: int, start: int, stop: int) -> Taps:
        """Of the outputs start … stop of the first `depth` stages."""
        if depth == 0 or start == stop:
            weights = np.zeros((stop - start, NUM_TAPS), dtype=np.float32)
            weights[:, 0] = 1.0
            return Taps(np.arange(start, stop), weights)
        sources = self._stages[depth - 1].sources(start, stop)
        left = np.floor(sources).astype(np.int64)
        right = (left + 1).clip(max=sizes[depth - 1] - 1)
        share = (sources - left)[:, None]
        low = int(left[0])
        inputs = self._joined(sizes, depth - 1, low, int(right[-1]) + 1)
        left, right = left - low, right - low
        first = inputs.first[left]
        weights = inputs.weights[left] * (np.float32(1.0) - share)
        moved = (inputs.first[right] - first)[:, None]
        for distance in range(int(moved.max()) + 1):
            moved_weights = inputs.weights[right] * share * (moved == distance)
            weights[:, distance:] += moved_weights[:, : NUM_TAPS - distance]
        return Taps(first, weights)


@lru_cache(maxsize=64)
def grid_of(config: VocoderConfig, speed: float) -> FrameGrid:
    """The one grid of a speed."""
    return FrameGrid(config, speed)
