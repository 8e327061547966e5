"""XTTS's HiFi-GAN: frames and a speaker embedding to samples. Weight norm is folded at load; knows neither latents'
interpolation nor streams. Same numbers as `TTS.vocoder.models.hifigan_generator.HifiganGenerator` in float32.

Convolutions run as 2-D ones of height 1 with channels last: measured twice as fast as 1-D on a CPU.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from serve_app.errors import CheckpointError
from serve_app.model.config import VocoderConfig

RESBLOCK_SLOPE = 0.1
OUTPUT_SLOPE = 0.01  # the reference calls leaky_relu with its default before the last convolution
PREFIX = "hifigan_decoder.waveform_decoder."


def folded_weight(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """The plain weight of `name`, be it stored plain, as g and v, or as parametrizations (norm over all but dim 0)."""
    plain = tensors.get(f"{name}.weight")
    if plain is not None:
        return plain
    for g_name, v_name in (
        (f"{name}.parametrizations.weight.original0", f"{name}.parametrizations.weight.original1"),
        (f"{name}.weight_g", f"{name}.weight_v"),
    ):
        if g_name in tensors and v_name in tensors:
            folded: Tensor = torch._weight_norm(tensors[v_name].float(), tensors[g_name].float(), 0)
            return folded
    raise CheckpointError(f"the checkpoint has no weight {name!r}: use a complete XTTS v2 checkpoint")


class Conv:
    """A 1-D convolution on [batch, channels, 1, time], 'same' padding; or a transposed one when `stride` > 1."""

    def __init__(
        self, tensors: Mapping[str, Tensor], name: str, like: Tensor, *, dilation: int = 1, stride: int = 1
    ) -> None:
        weight = folded_weight(tensors, name).unsqueeze(2).to(like.device, like.dtype, copy=True)
        bias = tensors.get(f"{name}.bias")
        self._weight = weight.contiguous(memory_format=torch.channels_last)
        self._bias = None if bias is None else bias.to(like.device, like.dtype, copy=True)
        self._dilation, self._stride = dilation, stride
        self._padding = ((weight.shape[3] - 1) * dilation) // 2 if stride == 1 else (weight.shape[3] - stride) // 2

    def __call__(self, x: Tensor) -> Tensor:
        if self._stride > 1:
            return functional.conv_transpose2d(x, self._weight, self._bias, (1, self._stride), (0, self._padding))
        return functional.conv2d(x, self._weight, self._bias, 1, (0, self._padding), (1, self._dilation))


class ResBlock:
    """Pairs of dilated and plain convolutions with a residual (HiFi-GAN's ResBlock1)."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str, like: Tensor, dilations: tuple[int, ...]) -> None:
        self._dilated = [
            Conv(tensors, f"{name}.convs1.{i}", like, dilation=dilation) for i, dilation in enumerate(dilations)
        ]
        self._plain = [Conv(tensors, f"{name}.convs2.{i}", like) for i in range(len(dilations))]

    def __call__(self, x: Tensor) -> Tensor:
        for dilated, plain in zip(self._dilated, self._plain, strict=True):
            y = dilated(functional.leaky_relu(x, RESBLOCK_SLOPE))
            x = plain(functional.leaky_relu_(y, RESBLOCK_SLOPE)).add_(x)
        return x


class Vocoder:
    """Frames [batch, input width, num frames] → samples [batch, num frames × hop length], float32, −1 … 1."""

    def __init__(
        self, config: VocoderConfig, tensors: Mapping[str, Tensor], *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.config = config
        like = torch.empty(0, device=device, dtype=dtype)
        self._like = like
        self._conv_pre = Conv(tensors, f"{PREFIX}conv_pre", like)
        self._conv_post = Conv(tensors, f"{PREFIX}conv_post", like)
        self._cond_pre = Conv(tensors, f"{PREFIX}cond_layer", like)
        num_stages = len(config.upsample_rates)
        self._ups = [
            Conv(tensors, f"{PREFIX}ups.{i}", like, stride=rate) for i, rate in enumerate(config.upsample_rates)
        ]
        self._conds = [Conv(tensors, f"{PREFIX}conds.{i}", like) for i in range(num_stages)]
        num_kernels = len(config.resblock_kernel_sizes)
        self._resblocks = [
            [
                ResBlock(tensors, f"{PREFIX}resblocks.{stage * num_kernels + k}", like, config.resblock_dilations[k])
                for k in range(num_kernels)
            ]
            for stage in range(num_stages)
        ]

    @property
    def samples_per_frame(self) -> int:
        return math.prod(self.config.upsample_rates)

    @property
    def context_frames(self) -> int:
        """Frames either side whose absence changes a frame's samples: the receptive field, rounded up."""
        reach, scale = 3.0, 1  # conv_pre: kernel 7
        config = self.config
        for rate, kernel in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
            reach += (kernel - 1) / 2 / (scale * rate)
            scale *= rate
            reach += (
                max(
                    sum((size - 1) * (dilation + 1) / 2 for dilation in dilations)
                    for size, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilations, strict=True)
                )
                / scale
            )
        return math.ceil(reach + 3.0 / scale)

    def __call__(self, frames: Tensor, speaker: Tensor) -> Tensor:
        """`frames` [batch, input width, time], `speaker` [batch, speaker width]."""
        x = frames.unsqueeze(2).to(self._like.dtype).contiguous(memory_format=torch.channels_last)
        g = speaker.to(self._like.dtype)[:, :, None, None]
        x = self._conv_pre(x) + self._cond_pre(g)
        for up, cond, blocks in zip(self._ups, self._conds, self._resblocks, strict=True):
            x = up(functional.leaky_relu_(x, RESBLOCK_SLOPE)).add_(cond(g))
            total = blocks[0](x)
            for block in blocks[1:]:
                total.add_(block(x))
            x = total.div_(len(blocks))
        x = self._conv_post(functional.leaky_relu_(x, OUTPUT_SLOPE))
        return torch.tanh(x[:, 0, 0].float())
