"""A decode step as a GPU wants it: fixed shapes over memory that stays where it is. Knows slots, not sequences.

Row i of a step is slot i, so nothing is gathered. A step runs over a bucket: the first so many slots, so many positions
of each. Rows of the bucket that are not asked for compute something nobody reads: they write to the scratch slot, one
more than there are.
"""

from bisect import bisect_left
from dataclasses import dataclass

import torch
from torch import Tensor

from serve_app.engine.config import EngineConfig
from serve_app.engine.cuda_graphs import Call, CudaGraphs
from serve_app.engine.kv_cache import KvCache
from serve_app.engine.slots import Rows, SlotState, choose
from serve_app.model.gpt import Gpt

# A third to a half longer each, from the prefix of a short sentence on: half of what is read at most is padding.
POSITIONS = (128, 192, 256, 384, 512, 768)
CANDIDATES = 64  # of usual `top_k`; a row that asks for more has the whole vocabulary
NUM_INPUTS = 3  # where a row writes, how many codes it has, how many positions are cached


@dataclass(frozen=True)
class StepRow:
    """What a step is to know of a slot."""

    slot: int
    num_codes: int
    num_cached: int
    top_k: int


@dataclass(frozen=True)
class Buckets:
    """The sizes a step may have; the last of each holds everything."""

    rows: tuple[int, ...]
    positions: tuple[int, ...]
    candidates: tuple[int, ...]

    @staticmethod
    def of(config: EngineConfig, num_positions: int, vocabulary: int) -> "Buckets":
        """Only the last ones in deterministic mode, where a size must not depend on who runs."""
        slots = config.max_slots
        if config.is_deterministic:
            return Buckets((slots,), (num_positions,), (vocabulary,))
        rows = [1 << power for power in range(slots.bit_length()) if 1 << power < slots]
        positions = [size for size in POSITIONS if size < num_positions]
        candidates = [size for size in (CANDIDATES,) if size < vocabulary]
        return Buckets((*rows, slots), (*positions, num_positions), (*candidates, vocabulary))


def fitting(sizes: tuple[int, ...], needed: int) -> int:
    """The least of the ascending sizes that is enough."""
    return sizes[bisect_left(sizes, needed)]


class DecodeStep:
    """Takes slots on by one code each. On a GPU, after `capture`, by replaying graphs."""

    def __init__(self, gpt: Gpt, cache: KvCache, state: SlotState, config: EngineConfig, device: torch.device) -> None:
        """`cache` and `state` have one slot more than `config.max_slots`."""
        self._gpt, self._cache, self._state, self._device = gpt, cache, state, device
        self._scratch = slots = config.max_slots
        self.buckets = Buckets.of(config, cache.num_positions, gpt.config.num_audio_tokens)
        is_gpu = device.type == "cuda"
        self._graphs = CudaGraphs(device) if is_gpu and config.uses_cuda_graphs else None
        shape = NUM_INPUTS * slots
        self._inputs = torch.zeros(shape, dtype=torch.int64, device=device)
        self._outputs = torch.zeros(shape, dtype=torch.int64, device=device)
        self._host_inputs = torch.zeros(shape, dtype=torch.int64, pin_memory=is_gpu)
        self._host_outputs = torch.zeros(shape, dtype=torch.int64, pin_memory=is_gpu)
        self._latents = torch.zeros(slots, gpt.config.width, device=device)
        self._slots = torch.arange(slots, device=device)

    @torch.inference_mode()
    def capture(self) -> None:
        """Captures every bucket, before the first step. The largest come first: the others fit into their memory."""
        if self._graphs is None:
            return
        for rows in reversed(self.buckets.rows):
            self._send([], rows)
            for positions in reversed(self.buckets.positions):
                self._graphs.capture(self._forward, rows, positions)
            for candidates in reversed(self.buckets.candidates):
                self._graphs.capture(self._choose, rows, candidates)

    @torch.inference_mode()
    def run(self, rows: list[StepRow]) -> list[list[int]]:
        """Keeps each slot's next code and latent. → [3][rows], what `choose` gives: the one wait for the device."""
        num_rows = fitting(self.buckets.rows, max(row.slot for row in rows) + 1)
        num_positions = fitting(self.buckets.positions, max(row.num_cached for row in rows) + 1)
        num_candidates = fitting(self.buckets.candidates, max(row.top_k for row in rows))
        self._send(rows, num_rows)
        call = _plainly if self._graphs is None else self._graphs.run
        call(self._forward, num_rows, num_positions)
        call(self._choose, num_rows, num_candidates)
        return self._receive(rows, num_rows)

    def _send(self, rows: list[StepRow], num_rows: int) -> None:
        """One copy for all inputs. Rows that are not asked for stand behind their first code, with an empty cache."""
        inputs = _table(self._host_inputs, num_rows).numpy()
        inputs[:] = [[self._scratch], [1], [0]]
        slots = [row.slot for row in rows]
        inputs[:, slots] = [slots, [row.num_codes for row in rows], [row.num_cached for row in rows]]
        _table(self._inputs, num_rows).copy_(_table(self._host_inputs, num_rows), non_blocking=True)

    def _receive(self, rows: list[StepRow], num_rows: int) -> list[list[int]]:
        found = _table(self._host_outputs, num_rows)
        found.copy_(_table(self._outputs, num_rows), non_blocking=True)
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        chosen: list[list[int]] = found.numpy()[:, [row.slot for row in rows]].tolist()
        return chosen

    def _forward(self, num_rows: int, num_positions: int) -> None:
        """From the last codes to the latents."""
        slots, num_codes, num_cached = _table(self._inputs, num_rows).unbind()
        last_codes = self._state.codes[self._slots[:num_rows], num_codes - 1]
        x = self._gpt.embed_codes(last_codes, num_codes)
        hidden = self._gpt.hidden(x, self._cache.decode_first(slots, num_cached, num_positions))
        self._latents[:num_rows].copy_(self._gpt.latents(hidden))

    def _choose(self, num_rows: int, num_candidates: int) -> None:
        """From the latents to the next codes."""
        slots, num_codes, _ = _table(self._inputs, num_rows).unbind()
        latents, state = self._latents[:num_rows], self._state
        params = state.sampling.first(num_rows, num_candidates)
        logits, stop = self._gpt.logits(latents), self._gpt.config.stop_audio_token
        found = choose(state, Rows(slots, num_codes), state.seen[:num_rows], latents, logits, params, stop)
        _table(self._outputs, num_rows).copy_(found)


def _plainly(call: Call, *sizes: int) -> None:
    call(*sizes)


def _table(buffer: Tensor, num_rows: int) -> Tensor:
    """The beginning of a buffer as [3, rows], in one piece."""
    return buffer[: NUM_INPUTS * num_rows].view(NUM_INPUTS, num_rows)
