"""Choosing the next code, as the reference does: penalty, temperature, top-k, top-p, then one draw per row.

The draw adds Gumbel noise to the candidates' scores and takes the best, which samples from their softmax exactly. The
noise of a candidate is a hash of (seed, position, id) alone, so a sequence's codes do not depend on its batch.
Filters follow transformers' RepetitionPenalty-, TopK- and TopPLogitsWarper (transformers 5, generation/logits_process).
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from serve_app.engine.sequence import SamplingParams
from serve_app.model.device import to_device

NEAR_TIE = 1e-4  # two best candidates closer than this: a last bit elsewhere may turn the choice


@dataclass(frozen=True)
class SamplingRows:
    """Parameters of the rows of a step, one entry a row."""

    temperature: Tensor  # [rows] float32
    top_k: Tensor  # [rows] int64, the vocabulary's size where there is no limit
    top_p: Tensor  # [rows] float32
    penalty: Tensor  # [rows] float32
    seed: Tensor  # [rows] int64
    is_greedy: Tensor  # [rows] bool
    is_forced: Tensor  # [rows] bool: stop is never chosen
    max_top_k: int

    @staticmethod
    def of(params: list[SamplingParams], vocabulary: int, device: torch.device) -> "SamplingRows":
        def columns(values: list[list[float]] | list[list[int]] | list[list[bool]], dtype: torch.dtype) -> Tensor:
            return to_device(torch.tensor(values, dtype=dtype), device)

        limits = [top_k_of(p, vocabulary) for p in params]
        rates = [[p.temperature for p in params], [p.top_p for p in params], [p.repetition_penalty for p in params]]
        flags = [[p.is_greedy for p in params], [p.num_forced_codes is not None for p in params]]
        temperature, top_p, penalty = columns(rates, torch.float32)
        top_k, seed = columns([limits, [p.seed & 0x7FFFFFFFFFFFFFFF for p in params]], torch.int64)
        is_greedy, is_forced = columns(flags, torch.bool)
        return SamplingRows(temperature, top_k, top_p, penalty, seed, is_greedy, is_forced, max(limits))

    def first(self, num_rows: int, max_top_k: int) -> "SamplingRows":
        """Views of the first rows, whose `top_k` is `max_top_k` at most."""
        columns: dict[str, Any] = {name: column[:num_rows] for name, column in self._columns.items()}
        return replace(self, **columns, max_top_k=max_top_k)

    def write(self, index: Tensor, rows: "SamplingRows") -> None:
        """Puts `rows` in place of those at `index` [rows] int64; `max_top_k` stays."""
        for name, column in self._columns.items():
            column.index_copy_(0, index, getattr(rows, name))

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """In the order of their fields."""
        return tuple(self._columns.values())

    @property
    def _columns(self) -> dict[str, Tensor]:
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "max_top_k"}


def top_k_of(params: SamplingParams, vocabulary: int) -> int:
    """How many candidates a row has: the vocabulary's size where there is no limit."""
    return min(params.top_k or vocabulary, vocabulary)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """A bijective scrambling of int64: the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    x = (x ^ _shift(x, 30)) * -0x40A7B892E31B1A47  # 0xBF58476D1CE4E5B9 as a signed number
    x = (x ^ _shift(x, 27)) * -0x6B2FB644ECCEEE15  # 0x94D049BB133111EB
    return x ^ _shift(x, 31)


def gumbel_noise(seed: Tensor, position: Tensor, ids: Tensor) -> Tensor:
    """Noise of candidates: seeds [rows], positions [rows], ids [rows, n] → [rows, n] float32."""
    stream = _mix(_mix(seed) + position)  # [rows]
    bits = _shift(_mix(stream[:, None] + ids), 41)  # 23 bits: bits + ½ is exact in float32
    uniform = (bits.float() + 0.5) / 8_388_608.0
    return -torch.log(-torch.log(uniform))


def penalize(logits: Tensor, seen: Tensor, penalty: Tensor) -> Tensor:
    """Scores of ids seen are divided by the penalty where positive and multiplied where negative."""
    penalty = penalty[:, None]
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def _best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best scores [rows, count], descending, and their ids. Equal ones, which 16 bits make often, rank by their id:
    `topk` alone would order them by `count`, and so by who shares the batch.
    """
    bits = scores.view(torch.int32).long()
    ascending = torch.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
    num_ids = scores.shape[-1]
    keys = ascending * num_ids - torch.arange(num_ids, device=scores.device)
    ids = keys.topk(count, dim=-1).indices
    return scores.gather(1, ids), ids


def sample(logits: Tensor, seen: Tensor, position: Tensor, rows: SamplingRows, stop: int) -> tuple[Tensor, Tensor]:
    """The next codes [rows] int64 and whether each was a near-tie [rows] bool.

    `logits` [rows, ids] float32; `seen` [rows, ids] bool: ids the penalty applies to; `position` [rows] int64: how many
    codes the sequence has.
    """
    scores = penalize(logits, seen, rows.penalty)
    scores[:, stop] = scores[:, stop].masked_fill(rows.is_forced, float("-inf"))
    top, ids = _best(scores, max(rows.max_top_k, 2))
    scaled = top / rows.temperature[:, None]
    rank = torch.arange(top.shape[1], device=top.device)
    scaled = scaled.masked_fill(rank >= rows.top_k[:, None], float("-inf"))
    probabilities = torch.softmax(scaled, dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities  # mass of the better candidates
    is_out = (before >= rows.top_p[:, None]) & (rank > 0)
    noisy = scaled.masked_fill(is_out, float("-inf")) + gumbel_noise(rows.seed, position, ids)
    final = torch.where(rows.is_greedy[:, None], top, noisy)
    best_two = final.topk(2, dim=-1).values
    codes = ids.gather(1, final.argmax(dim=-1, keepdim=True)).squeeze(1)  # the first of equal ones
    return codes, (best_two[:, 0] - best_two[:, 1]) < NEAR_TIE
