"""Residual sum and layer norm of a row in one pass."""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _add_norm(x, delta, weight, bias, total, normed, width, epsilon, HAS_DELTA: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * width
    column = tl.arange(0, BLOCK)
    is_there = column < width
    values = tl.load(x + row + column, mask=is_there, other=0.0)
    if HAS_DELTA:
        values += tl.load(delta + row + column, mask=is_there, other=0.0).to(tl.float32)
        tl.store(total + row + column, values, mask=is_there)
    mean = tl.sum(values) / width
    centred = tl.where(is_there, values - mean, 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred) / width + epsilon)
    gain = tl.load(weight + column, mask=is_there, other=0.0)
    shift = tl.load(bias + column, mask=is_there, other=0.0)
    result = centred * scale * gain + shift
    tl.store(normed + row + column, result.to(normed.dtype.element_ty), mask=is_there)


def add_norm(
    x: Tensor, delta: Tensor | None, weight: Tensor, bias: Tensor, epsilon: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """`x` [rows, width] float32 and what is added to it, of any format → their sum, and its layer norm in `dtype`."""
    rows, width = x.shape
    total = x if delta is None else torch.empty_like(x)
    normed = torch.empty(rows, width, dtype=dtype, device=x.device)
    block = triton.next_power_of_2(width)
    _add_norm[(rows,)](
        x,
        x if delta is None else delta,
        weight,
        bias,
        total,
        normed,
        width,
        epsilon,
        delta is not None,
        block,
        num_warps=4,
    )
    return total, normed
