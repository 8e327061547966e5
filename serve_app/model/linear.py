"""Matrix products of the decode loop, one class per way a processor does them fastest. Knows shapes, no model.

On a CPU a decode step is bound by how fast its weights are read, so each class packs them once, at load.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Activation = Literal["none", "gelu"]
Linear = Callable[[Tensor], Tensor]
MakeLinear = Callable[[Tensor, Tensor | None, Activation], Linear]

# Rows oneDNN is told to expect when it chooses a weight layout. Measured: a layout made for 16 rows also serves 1 and
# 200; one made for a single row is 15 times slower than that.
PACKING_ROWS = 16
# float32 products of so many rows take twice as long whole as in two halves (measured, AVX-512, oneDNN 3.10).
FLOAT32_HALVED_ROWS = range(16, 32)
# oneDNN's float32 kernels for AVX2 take rows by six and sum the rest in another order: a row has the same bits wherever
# it stands only among a multiple of this many, halved or not. Those for AVX-512 were not seen to.
AVX2_EQUAL_ROWS = 12


class DenseLinear:
    """`activation(x @ weight.T + bias)` by PyTorch's own product: [rows, in] → [rows, out] in the weight's dtype."""

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation) -> None:
        self._weight, self._bias = weight, bias
        self._activation = activation

    def __call__(self, x: Tensor) -> Tensor:
        y = functional.linear(x.to(self._weight.dtype), self._weight, self._bias)
        return functional.gelu(y, approximate="tanh") if self._activation == "gelu" else y


class PackedLinear:
    """The same by oneDNN on weights in its own blocked layout: [rows, in] → [rows, out] in `dtype`. CPU only."""

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype).contiguous(), PACKING_ROWS)
        self._bias = None if bias is None else bias.to(dtype, copy=True)
        self._post: tuple[str, list[float], str] = ("gelu", [], "tanh") if activation == "gelu" else ("none", [], "")

    def __call__(self, x: Tensor) -> Tensor:
        x = x.to(self._dtype)
        if self._dtype is torch.float32 and x.shape[0] in FLOAT32_HALVED_ROWS:
            return torch.cat([self._product(rows) for rows in x.chunk(2)])
        return self._product(x)

    def _product(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, *self._post)
        return y


class Int8Linear:
    """The same on 8-bit weights (one scale per output) and 8-bit inputs (one scale per row): → [rows, out] float32.

    The scale of a row depends on that row alone and the sums are exact integers, so a row's result is bitwise the same
    whatever shares its batch. Without VNNI fbgemm adds pairs of products in 16 bit, which 8-bit inputs would overflow:
    they get 7 there. CPU only.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation) -> None:
        weight = weight.float()
        scales = (weight.abs().amax(dim=1) / 127.0).clamp_min(1e-12).double()
        zeros = torch.zeros(weight.shape[0], dtype=torch.long)
        quantized = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(quantized, None)
        self._bias = None if bias is None else bias.to(torch.float32, copy=True)
        self._activation = activation
        self._max_level = 127 if torch.cpu._is_vnni_supported() else 63

    def __call__(self, x: Tensor) -> Tensor:
        x = x.float()
        row_scale = x.abs().amax(dim=-1, keepdim=True).clamp_min(1e-12)  # [rows, 1]
        y: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            x / row_scale, 1.0 / self._max_level, self._max_level + 1, self._packed
        )
        y = y * row_scale if self._bias is None else torch.addcmul(self._bias, y, row_scale)
        return functional.gelu(y, approximate="tanh") if self._activation == "gelu" else y


def equal_rows(device: torch.device) -> int:
    """A number of rows whose multiples have the same bits in any order."""
    return AVX2_EQUAL_ROWS if device.type == "cpu" and not torch.cpu._is_avx512_supported() else 1


def linear_maker(device: torch.device, dtype: torch.dtype, *, is_int8: bool) -> MakeLinear:
    """The class that suits a device and number format, as a function of (weight [out, in], bias [out], activation)."""
    if is_int8:
        assert device.type == "cpu", "int8 products exist for CPUs only"
        return Int8Linear
    if device.type == "cpu" and _can_pack(dtype):
        return lambda weight, bias, activation: PackedLinear(weight, bias, activation, dtype)

    def dense(weight: Tensor, bias: Tensor | None, activation: Activation) -> Linear:
        bias = None if bias is None else bias.to(device, dtype, copy=True)
        return DenseLinear(weight.to(device, dtype, copy=True), bias, activation)

    return dense


def _can_pack(dtype: torch.dtype) -> bool:
    """oneDNN refuses 16 bit where the processor has no instructions for it; PyTorch's own product takes its time."""
    if not torch.backends.mkldnn.is_available():
        return False
    return dtype is torch.float32 or (dtype is torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())
