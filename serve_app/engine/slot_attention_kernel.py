"""Attention of one new row a slot over the slot's cache, in one Triton kernel. Imported only where there is a GPU.

A program takes one head of one row: it writes the row's key and value to the cache and goes over what is filled of the
slot, no further, with a running softmax in float32.
"""

# The kernel's signature is Triton's to read.
# ruff: noqa: ANN001, N803
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 128  # positions at a time
NUM_WARPS = 4


@triton.jit
def _attend(
    qkv,
    cached,
    slots,
    positions,
    out,
    scale,
    slot_stride,
    values_offset,
    head_stride,
    HEAD_SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    num_heads = tl.num_programs(1)
    target = tl.load(slots + row)
    position = tl.load(positions + row)
    dims = tl.arange(0, HEAD_SIZE)
    columns = tl.arange(0, BLOCK)

    new = qkv + (row * 3 * num_heads + head) * HEAD_SIZE + dims
    query = tl.load(new).to(tl.float32) * scale
    key = tl.load(new + num_heads * HEAD_SIZE)
    value = tl.load(new + 2 * num_heads * HEAD_SIZE)
    place = cached + target * slot_stride + head * head_stride + position * HEAD_SIZE + dims
    tl.store(place, key)
    tl.store(place + values_offset, value)

    best = tl.sum(query * key.to(tl.float32), 0)
    total = tl.full([], 1.0, tl.float32)
    mixed = value.to(tl.float32)
    keys = cached + row * slot_stride + head * head_stride
    for start in range(0, position, BLOCK):
        is_filled = start + columns < position
        places = (start + columns)[:, None] * HEAD_SIZE + dims[None, :]
        block = tl.load(keys + places, mask=is_filled[:, None], other=0.0).to(tl.float32)
        scores = tl.where(is_filled, tl.sum(block * query[None, :], 1), float("-inf"))
        new_best = tl.maximum(best, tl.max(scores, 0))
        shrink = tl.exp(best - new_best)
        weights = tl.exp(scores - new_best)
        block = tl.load(keys + values_offset + places, mask=is_filled[:, None], other=0.0).to(tl.float32)
        mixed = mixed * shrink + tl.sum(block * weights[:, None], 0)
        total = total * shrink + tl.sum(weights, 0)
        best = new_best
    target_out = out + (row * num_heads + head) * HEAD_SIZE + dims
    tl.store(target_out, (mixed / total).to(out.dtype.element_ty))


def attend(qkv: Tensor, cached: Tensor, slots: Tensor, positions: Tensor) -> Tensor:
    """`qkv` [rows, 3, heads, head size], `cached` [slots, 2, heads, positions, head size] of one layer, in one dtype.

    Row i attends over what is before `positions[i]` of slot i, and itself, which is written there to `slots[i]`.
    → [rows, heads, head size].
    """
    num_rows, _, num_heads, head_size = qkv.shape
    assert qkv.is_contiguous() and cached.stride()[-2:] == (head_size, 1) and qkv.dtype is cached.dtype
    out = torch.empty(num_rows, num_heads, head_size, device=qkv.device, dtype=qkv.dtype)
    strides = cached.stride()[:3]
    _attend[num_rows, num_heads](
        qkv, cached, slots, positions, out, head_size**-0.5, *strides,
        HEAD_SIZE=head_size, BLOCK=BLOCK, num_warps=NUM_WARPS,
    )  # fmt: skip
    return out
