"""The least time that parts of speech can take on a device: by its memory's speed or by its matrix units'."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from serve_app.model.config import ModelConfig, VocoderConfig
from serve_app.model.device import Compute


@dataclass(frozen=True)
class Ceilings:
    """Of a device, measured."""

    bytes_per_s: float  # read and written
    operations_per_s: float  # a product and a sum are two

    @staticmethod
    def measured(
        compute: Compute, median_s: Callable[[Callable[[], object]], float], num_bytes: int, matrix_size: int
    ) -> "Ceilings":
        """By a large copy and a product of square matrices of random numbers, in the format the vocoder computes in."""
        source = torch.randint(0, 255, (num_bytes,), dtype=torch.uint8, device=compute.device)
        target = torch.empty_like(source)
        copy_s = median_s(lambda: target.copy_(source))
        one, other = (torch.randn(matrix_size, matrix_size, device=compute.device).to(compute.dtype) for _ in range(2))
        product_s = median_s(lambda: one @ other)
        return Ceilings(2 * num_bytes / copy_s, 2 * matrix_size**3 / product_s)


@dataclass(frozen=True)
class Floors:
    """What a model's parts cannot do faster."""

    config: ModelConfig
    compute: Compute
    ceilings: Ceilings

    def step_s(self, rows: int, cached: int) -> float:
        """A decode step: the blocks' matrices, the head in float32, and the rows' keys and values are read."""
        shapes, compute = self.config.gpt, self.compute
        blocks = self._num_block_weights * compute.dtype.itemsize
        head = shapes.num_audio_tokens * shapes.width * torch.float32.itemsize
        cache = rows * cached * 2 * shapes.num_layers * shapes.width * compute.cache_dtype.itemsize
        operations = 2 * rows * (self._num_block_weights + shapes.num_audio_tokens * shapes.width)
        return self._floor_s(blocks + head + cache, operations)

    def prefix_s(self, rows: int) -> float:
        """A pass over so many rows of prefixes, attention not counted."""
        weights = self._num_block_weights
        return self._floor_s(weights * self.compute.dtype.itemsize, 2 * rows * weights)

    def window_s(self, frames: int) -> float:
        """So many frames through the vocoder, its weights not counted."""
        return frames * vocoder_operations(self.config.vocoder) / self.ceilings.operations_per_s

    @property
    def _num_block_weights(self) -> int:
        shapes = self.config.gpt
        return shapes.num_layers * 12 * shapes.width**2

    def _floor_s(self, num_bytes: float, operations: float) -> float:
        return max(num_bytes / self.ceilings.bytes_per_s, operations / self.ceilings.operations_per_s)


def vocoder_operations(config: VocoderConfig) -> int:
    """For each frame: products and sums of its convolutions."""
    width, scale = config.initial_channels, 1
    operations = 7 * config.input_width * width
    for rate, kernel in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
        operations += scale * kernel * width * (width // 2)  # each input sample meets the whole kernel
        width, scale = width // 2, scale * rate
        for size, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilations, strict=True):
            operations += scale * 2 * len(dilations) * size * width * width
    return 2 * (operations + scale * 7 * width)
