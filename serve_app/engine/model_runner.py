"""Runs a step's tensors: prefix rows in, codes and latents out. Knows slots and the model, not queues or waiters."""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from serve_app.engine.config import EngineConfig
from serve_app.engine.kv_cache import KvCache
from serve_app.engine.sampler import SamplingRows, sample
from serve_app.engine.scheduler import prefix_rows
from serve_app.engine.sequence import Sequence
from serve_app.model.device import to_device
from serve_app.model.gpt import Gpt
from serve_app.model.linear import equal_rows

DETERMINISTIC_PREFILL_ROWS = 64  # in deterministic mode a prefix runs alone, padded to a multiple of this
PLACEHOLDER_ID = 1  # coqui fills the prefix with this id before `generate`, so the penalty always sees it


@dataclass(frozen=True)
class StepCodes:
    """What one pass chose, an entry a row: the one read of the device in a step."""

    codes: list[int]
    is_finite: list[bool]
    num_near_ties: int


@dataclass(frozen=True)
class _Rows:
    """The rows of a pass on the device: each sequence's slot and how many codes it has, [rows] int64."""

    slots: Tensor
    positions: Tensor


class ModelRunner:
    """State of every slot on the device: cache, codes and latents so far, ids seen.

    A pass that raises has changed nothing that its repetition would read, so it may be made again, over fewer rows too.
    """

    def __init__(self, gpt: Gpt, config: EngineConfig, *, device: torch.device, cache_dtype: torch.dtype) -> None:
        self._gpt, self._config, self._device = gpt, config, device
        shape, slots = gpt.config, config.max_slots
        is_fixed = config.is_deterministic
        multiple = equal_rows(device)
        self._num_fixed_rows = -(-slots // multiple) * multiple
        self._cache = KvCache(shape, slots, device=device, dtype=cache_dtype, is_deterministic=is_fixed)
        self._seen = torch.zeros(slots, shape.num_audio_tokens, dtype=torch.bool, device=device)
        self._latents = torch.empty(slots, shape.max_codes, shape.width, device=device)
        self._codes = torch.empty(slots, shape.max_codes, dtype=torch.int64, device=device)
        self._rows: tuple[tuple[int, ...], SamplingRows] | None = None

    @torch.inference_mode()
    def prefill(self, sequences: tuple[Sequence, ...]) -> StepCodes:
        """Reads each sequence's prefix into its slot and chooses its first code."""
        if self._config.is_deterministic and len(sequences) > 1:
            parts = [self.prefill((sequence,)) for sequence in sequences]
            return StepCodes(
                [code for part in parts for code in part.codes],
                [flag for part in parts for flag in part.is_finite],
                sum(part.num_near_ties for part in parts),
            )
        slots = [_slot(sequence) for sequence in sequences]
        lengths = [prefix_rows(sequence) for sequence in sequences]
        rows = self._rows_of(sequences)
        x = torch.cat([self._embed(sequence) for sequence in sequences])
        if self._config.is_deterministic:
            x = functional.pad(x, (0, 0, 0, -x.shape[0] % DETERMINISTIC_PREFILL_ROWS))
        self._seen[rows.slots] = False
        self._seen[rows.slots, PLACEHOLDER_ID] = True
        self._seen[rows.slots, self._gpt.config.start_audio_token] = True
        hidden = self._gpt.hidden(x, self._cache.prefill(slots, lengths))
        last = self._index(list(itertools.accumulate(lengths))) - 1
        return self._choose(sequences, rows, hidden[last])

    @torch.inference_mode()
    def decode(self, sequences: tuple[Sequence, ...]) -> StepCodes:
        """Takes each sequence on by one code."""
        slots = [_slot(sequence) for sequence in sequences]
        rows = self._rows_of(sequences)
        last_codes = self._codes[rows.slots, rows.positions - 1]
        x = self._gpt.embed_codes(last_codes, rows.positions)  # [rows, width]
        cached = [prefix_rows(sequence) + sequence.num_codes - 1 for sequence in sequences]
        hidden = self._gpt.hidden(self._pad(x), self._cache.decode(slots, cached))
        return self._choose(sequences, rows, hidden[: len(slots)])

    def latents(self, sequence: Sequence) -> Tensor:
        """The latents so far, [num codes, width] float32; a view that is good until the slot changes hands."""
        return self._latents[_slot(sequence), : sequence.num_codes]

    def codes(self, sequence: Sequence) -> tuple[int, ...]:
        return tuple(self._codes[_slot(sequence), : sequence.num_codes].tolist())

    def _embed(self, sequence: Sequence) -> Tensor:
        prompt = sequence.prompt
        cond_latents = to_device(prompt.voice.cond_latents, self._device)
        return self._gpt.embed_prefix(cond_latents, self._index(list(prompt.text_tokens)))

    def _pad(self, x: Tensor) -> Tensor:
        if not self._config.is_deterministic:
            return x
        return functional.pad(x, (0, 0, 0, self._num_fixed_rows - x.shape[0]))

    def _rows_of(self, sequences: tuple[Sequence, ...]) -> "_Rows":
        """Made before a pass, so that nothing is copied to the device between its layers and its sampling."""
        positions = self._index([sequence.num_codes for sequence in sequences])
        return _Rows(self._index([_slot(sequence) for sequence in sequences]), positions)

    def _index(self, values: list[int]) -> Tensor:
        return to_device(torch.tensor(values), self._device)

    def _choose(self, sequences: tuple[Sequence, ...], rows: "_Rows", hidden: Tensor) -> StepCodes:
        """Latents, scores and the next code of each row; `hidden` [rows, width]."""
        index, position = rows.slots, rows.positions
        latents = self._gpt.latents(hidden)
        logits = self._gpt.logits(self._pad(latents))[: len(sequences)]
        params = self._sampling_rows(sequences)
        codes, is_near_tie = sample(logits, self._seen[index], position, params, self._gpt.config.stop_audio_token)
        is_finite = torch.isfinite(logits).all(dim=-1)
        found = torch.stack([codes, is_finite.long(), is_near_tie.long()])
        self._latents[index, position] = latents
        self._codes[index, position] = codes
        self._seen[index, codes] = True  # last: it is what a repetition reads
        chosen, finite, ties = found.tolist()
        return StepCodes(chosen, [bool(flag) for flag in finite], sum(ties))

    def _sampling_rows(self, sequences: tuple[Sequence, ...]) -> SamplingRows:
        """The rows' parameters, kept while the same sequences run."""
        key = tuple(sequence.sequence_id for sequence in sequences)
        if self._rows is None or self._rows[0] != key:
            params = [sequence.prompt.sampling for sequence in sequences]
            self._rows = key, SamplingRows.of(params, self._gpt.config.num_audio_tokens, self._device)
        return self._rows[1]


def _slot(sequence: Sequence) -> int:
    assert sequence.slot is not None
    return sequence.slot
