"""The next code of a row: penalty, temperature, top-k, top-p and one draw, as `serve_app.engine.sampler` does them."""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _mixed(x):
    """The finaliser of SplitMix64."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB
    return x ^ (x >> 31)


@triton.jit
def _bits(x):
    return x.to(tl.uint64, bitcast=True)


@triton.jit
def _sample(
    logits, seen, temperatures, top_ks, top_ps, penalties, seeds, greedy, forced, counts, codes, ties,
    num_ids, seen_stride, stop, near, LOG_BLOCK: tl.constexpr,
):  # fmt: skip
    BLOCK: tl.constexpr = 1 << LOG_BLOCK
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    is_there = column < num_ids
    score = tl.load(logits + row * num_ids + column, mask=is_there, other=0.0)
    is_seen = tl.load(seen + row * seen_stride + column, mask=is_there, other=0) != 0
    penalty = tl.load(penalties + row)
    score = tl.where(is_seen, tl.where(score < 0.0, score * penalty, score / penalty), score)
    is_stop = (column == stop) & (tl.load(forced + row) != 0)
    score = tl.where(is_stop | (is_there == 0), float("-inf"), score)

    # Descending, equal ones by their id: both in one number.
    order = score.to(tl.int32, bitcast=True).to(tl.int64)
    order = tl.where(order < 0, -(order & 0x7FFFFFFF), order)
    key = tl.sort(order * BLOCK + (BLOCK - 1 - column), descending=True)
    ids = BLOCK - 1 - (key & (BLOCK - 1))
    order = key >> LOG_BLOCK
    bits = tl.where(order < 0, -order + -0x80000000, order)
    score = bits.to(tl.int32).to(tl.float32, bitcast=True)

    scaled = score / tl.load(temperatures + row)
    scaled = tl.where(column >= tl.load(top_ks + row), float("-inf"), scaled)
    weight = tl.exp(scaled - tl.max(scaled, 0))
    share = weight / tl.sum(weight, 0)
    before = tl.cumsum(share, 0) - share
    is_out = (before >= tl.load(top_ps + row)) & (column > 0)
    stream = _mixed(_mixed(_bits(tl.load(seeds + row))) + _bits(tl.load(counts + row)))
    uniform = ((_mixed(stream + _bits(ids.to(tl.int64))) >> 41).to(tl.float32) + 0.5) / 8388608.0
    noisy = tl.where(is_out, float("-inf"), scaled - tl.log(-tl.log(uniform)))
    final = tl.where(tl.load(greedy + row) != 0, score, noisy)

    winner = tl.max(final, 0)
    place = tl.min(tl.where(final == winner, column, BLOCK), 0)  # the first of equal ones
    second = tl.max(tl.where(column == place, float("-inf"), final), 0)
    code = tl.sum(tl.where(column == place, ids, 0), 0)  # 0 where no score is a number
    tl.store(codes + row, code.to(tl.int64))
    tl.store(ties + row, (winner - second < near).to(tl.int64))


def sample(
    logits: Tensor,
    seen: Tensor,
    position: Tensor,
    columns: tuple[Tensor, ...],
    stop: int,
    near: float,
) -> tuple[Tensor, Tensor]:
    """The next codes [rows] and whether each was a near-tie, both int64.

    `logits` [rows, ids] float32; `seen` [rows, ids] bool, of rows that may lie apart; `position` [rows] int64: how many
    codes a row has; `columns`: temperature, top-k, top-p, penalty, seed, greedy and forced of each row, in the formats
    of `SamplingRows`.
    """
    rows, num_ids = logits.shape
    codes = torch.empty(rows, dtype=torch.int64, device=logits.device)
    ties = torch.empty_like(codes)
    log_block = triton.next_power_of_2(num_ids).bit_length() - 1
    _sample[(rows,)](
        logits.contiguous(),
        seen,
        *columns,
        position,
        codes,
        ties,
        num_ids,
        seen.stride(0),
        stop,
        near,
        log_block,
        num_warps=8,
    )
    return codes, ties
