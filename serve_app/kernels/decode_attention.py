"""Attention of one new row for each of the first slots of a cache, over exactly what the slot holds."""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 128  # positions read at a time


@triton.jit
def _decode_attention(
    qkv, cache, targets, lengths, out, scale, slot_stride, part_stride, head_stride,
    HEADS: tl.constexpr, SIZE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    length, target = tl.load(lengths + row), tl.load(targets + row)
    column = tl.arange(0, SIZE)
    own = qkv + row * (3 * HEADS * SIZE) + head * SIZE + column
    query = tl.load(own).to(tl.float32)
    new_key, new_value = tl.load(own + HEADS * SIZE), tl.load(own + 2 * HEADS * SIZE)
    written = cache + target * slot_stride + head * head_stride + length * SIZE + column
    tl.store(written, new_key)
    tl.store(written + part_stride, new_value)

    best = tl.sum(query * new_key.to(tl.float32)) * scale
    weight_sum = best * 0.0 + 1.0
    total = new_value.to(tl.float32)
    keys = cache + row * slot_stride + head * head_stride
    for start in range(0, length, BLOCK):
        position = start + tl.arange(0, BLOCK)
        is_there = position < length
        place = position[:, None] * SIZE + column[None, :]
        key = tl.load(keys + place, mask=is_there[:, None], other=0.0).to(tl.float32)
        value = tl.load(keys + part_stride + place, mask=is_there[:, None], other=0.0).to(tl.float32)
        score = tl.where(is_there, tl.sum(key * query[None, :], 1) * scale, float("-inf"))
        new_best = tl.maximum(best, tl.max(score, 0))
        shrunk, weight = tl.exp(best - new_best), tl.exp(score - new_best)
        weight_sum = weight_sum * shrunk + tl.sum(weight, 0)
        total = total * shrunk + tl.sum(value * weight[:, None], 0)
        best = new_best
    result = total / weight_sum
    tl.store(out + (row * HEADS + head) * SIZE + column, result.to(out.dtype.element_ty))


def decode_attention(qkv: Tensor, cache: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """Rows [rows, 3, heads, head size] over `cache` [slots, 2, heads, positions, head size] of the same format.

    Row i attends to itself and to the first `lengths[i]` positions of slot i; its key and value are written behind
    them, to slot `targets[i]`: i, or another for a row that does not count. Both [rows] int64. → [rows, heads, head
    size]. The head size is a power of two.
    """
    rows, _, heads, size = qkv.shape
    assert qkv.is_contiguous() and qkv.dtype == cache.dtype
    out = torch.empty(rows, heads, size, dtype=qkv.dtype, device=qkv.device)
    slot_stride, part_stride, head_stride, position_stride, _ = cache.stride()
    assert position_stride == size
    _decode_attention[(rows, heads)](
        qkv,
        cache,
        targets,
        lengths,
        out,
        size**-0.5,
        slot_stride,
        part_stride,
        head_stride,
        heads,
        size,
        BLOCK,
        num_warps=8,
    )
    return out
