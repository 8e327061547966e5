"""Runs a step's tensors: prefix rows in, codes and latents out. Knows slots and the model, not queues or waiters."""

import itertools

import torch
from torch import Tensor
from torch.nn import functional

from serve_app.engine.config import EngineConfig
from serve_app.engine.fixed_passes import FixedPasses
from serve_app.engine.kv_cache import KvCache
from serve_app.engine.sampler import SamplingRows
from serve_app.engine.sequence import Sequence
from serve_app.engine.slots import Rows, SlotState, choose
from serve_app.engine.step_codes import PendingCodes
from serve_app.kernels import Kernels
from serve_app.model.config import GptConfig
from serve_app.model.device import to_device
from serve_app.model.gpt import Gpt
from serve_app.model.linear import equal_rows

DETERMINISTIC_PREFILL_ROWS = 64  # in deterministic mode a prefix runs alone, padded to a multiple of this


class ModelRunner:
    """State of every slot on the device: cache, codes and latents so far, ids seen.

    A pass that raises has changed nothing that its repetition would read, so it may be made again, over fewer rows too.
    """

    def __init__(
        self,
        gpt: Gpt,
        config: EngineConfig,
        *,
        device: torch.device,
        cache_dtype: torch.dtype,
        has_fixed_steps: bool | None = None,
        kernels: Kernels | None = None,
    ) -> None:
        """`has_fixed_steps`: decodes over buckets of slots, as graphs must; None: where there is a GPU."""
        self._gpt, self._config, self._device = gpt, config, device
        multiple = equal_rows(device)
        self._num_fixed_rows = -(-config.max_slots // multiple) * multiple
        is_fixed = device.type != "cpu" if has_fixed_steps is None else has_fixed_steps
        num_slots = config.max_slots + is_fixed
        self._cache = KvCache(
            gpt.config, num_slots, device=device, dtype=cache_dtype, is_finite=is_fixed, kernels=kernels
        )
        self._state = SlotState.empty(gpt.config, num_slots, device, kernels)
        self._fixed = FixedPasses(gpt, self._cache, self._state, config, device) if is_fixed else None
        self._rows: tuple[tuple[int, ...], SamplingRows] | None = None

    @property
    def config(self) -> EngineConfig:
        return self._config

    @property
    def num_untouched_bytes(self) -> int:
        """Of the cache on a CPU, which holds only what is written; a GPU holds all from the start."""
        return self._cache.num_bytes if self._device.type == "cpu" else 0

    def warm_up(self) -> None:
        """Captures what can be captured: some seconds, in which no pass runs and no thread gives memory back."""
        if self._fixed is not None:
            self._fixed.capture()

    @property
    def num_ahead(self) -> int:
        """Passes that may be begun before the codes of the last one are known: where the device works by itself."""
        return 1 if self._device.type == "cuda" else 0

    @torch.inference_mode()
    def prefill(self, sequences: tuple[Sequence, ...]) -> PendingCodes:
        """Reads each sequence's prefix into its slot and chooses its first code."""
        if self._fixed is not None:
            return self._fixed.prefill(sequences)
        if self._config.is_deterministic:
            return PendingCodes(torch.cat([self._prefill((sequence,)) for sequence in sequences], dim=1))
        return PendingCodes(self._prefill(sequences))

    @torch.inference_mode()
    def decode(self, sequences: tuple[Sequence, ...]) -> PendingCodes:
        """Takes each sequence on by one code, from the last that was begun."""
        if self._fixed is not None:
            return self._fixed.decode(sequences)
        slots = [_slot(sequence) for sequence in sequences]
        rows = self._rows_of(sequences)
        last_codes = self._state.codes[rows.slots, rows.positions - 1]
        x = self._gpt.embed_codes(last_codes, rows.positions)  # [rows, width]
        cached = [sequence.num_cached for sequence in sequences]
        hidden = self._gpt.hidden(self._pad(x), self._cache.decode(slots, cached))
        return PendingCodes(self._choose(sequences, rows, hidden[: len(slots)]))

    def latents(self, sequence: Sequence) -> Tensor:
        """The latents so far, [num codes, width] float32; a view that is good until the slot changes hands."""
        return self._state.latents[_slot(sequence), : sequence.num_codes]

    def _prefill(self, sequences: tuple[Sequence, ...]) -> Tensor:
        slots = [_slot(sequence) for sequence in sequences]
        lengths = [sequence.num_prefix_rows for sequence in sequences]
        rows = self._rows_of(sequences)
        x = torch.cat([self._embed(sequence) for sequence in sequences])
        if self._config.is_deterministic:
            x = functional.pad(x, (0, 0, 0, -x.shape[0] % DETERMINISTIC_PREFILL_ROWS))
        self._state.clear(rows.slots, self._gpt.config.start_audio_token)
        hidden = self._gpt.hidden(x, self._cache.prefill(slots, lengths))
        last = self._index(list(itertools.accumulate(lengths))) - 1
        return self._choose(sequences, rows, hidden[last])

    def _embed(self, sequence: Sequence) -> Tensor:
        prompt = sequence.prompt
        cond_latents = to_device(prompt.voice.cond_latents, self._device)
        return self._gpt.embed_prefix(cond_latents, self._index(list(prompt.text_tokens)))

    def _pad(self, x: Tensor) -> Tensor:
        if not self._config.is_deterministic:
            return x
        return functional.pad(x, (0, 0, 0, self._num_fixed_rows - x.shape[0]))

    def _rows_of(self, sequences: tuple[Sequence, ...]) -> Rows:
        """Made before a pass, so that nothing is copied to the device between its layers and its sampling."""
        positions = self._index([sequence.num_begun for sequence in sequences])
        return Rows(self._index([_slot(sequence) for sequence in sequences]), positions)

    def _index(self, values: list[int]) -> Tensor:
        return to_device(torch.tensor(values), self._device)

    def _choose(self, sequences: tuple[Sequence, ...], rows: Rows, hidden: Tensor) -> Tensor:
        """Latents, scores and the next code of each row; `hidden` [rows, width]."""
        latents = self._gpt.latents(hidden)
        logits = self._gpt.logits(self._pad(latents))[: len(sequences)]
        params, seen = self._sampling_rows(sequences), self._state.seen[rows.slots]
        return choose(self._state, rows, seen, latents, logits, params, self._gpt.config.stop_audio_token)

    def _sampling_rows(self, sequences: tuple[Sequence, ...]) -> SamplingRows:
        """The rows' parameters, kept while the same sequences run."""
        key = tuple(sequence.sequence_id for sequence in sequences)
        if self._rows is None or self._rows[0] != key:
            params = [sequence.prompt.sampling for sequence in sequences]
            self._rows = key, SamplingRows.of(params, self._gpt.config.num_audio_tokens, self._device)
        return self._rows[1]


def slot_bytes(shapes: GptConfig, cache_dtype: torch.dtype) -> int:
    """Memory that a slot takes on a GPU: keys and values, latents, codes, ids seen."""
    with torch.device("meta"):
        cache = KvCache(shapes, 1, device=torch.device("meta"), dtype=cache_dtype, is_finite=True)
    latents = shapes.max_codes * shapes.width * torch.float32.itemsize
    return cache.num_bytes + latents + shapes.max_codes * torch.int64.itemsize + shapes.num_audio_tokens


def _slot(sequence: Sequence) -> int:
    assert sequence.slot is not None
    return sequence.slot
