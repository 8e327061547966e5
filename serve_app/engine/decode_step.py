"""A decode step as a GPU wants it: fixed shapes over memory that stays where it is. Knows slots, not sequences.

Row i of a step is slot i, so nothing is gathered. A step runs over a bucket: the first so many slots, so many positions
of each. Rows of the bucket that are not asked for compute something nobody reads: they write to the scratch slot, one
more than there are. What is sent and read has memory of its own each time, so the next step may be begun before the
last one is read.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from serve_app.engine.buckets import Buckets, fitting
from serve_app.engine.cuda_graphs import Calls
from serve_app.engine.kv_cache import KvCache
from serve_app.engine.slots import Rows, SlotState, choose
from serve_app.engine.step_codes import PendingCodes
from serve_app.model.gpt import Gpt

NUM_INPUTS = 3  # where a row writes, how many codes it has, how many positions are cached


@dataclass(frozen=True)
class StepRow:
    """What a step is to know of a slot."""

    slot: int
    num_codes: int
    num_cached: int
    top_k: int


class DecodeStep:
    """Takes slots on by one code each."""

    def __init__(
        self,
        gpt: Gpt,
        cache: KvCache,
        state: SlotState,
        buckets: Buckets,
        device: torch.device,
        calls: Calls,
    ) -> None:
        """`cache` and `state` have one slot more than `buckets` has rows."""
        self._gpt, self._cache, self._state, self._device = gpt, cache, state, device
        self.buckets, self.calls = buckets, calls
        self._scratch = slots = buckets.rows[-1]
        self._inputs = torch.zeros(NUM_INPUTS * slots, dtype=torch.int64, device=device)
        self._outputs = torch.zeros(NUM_INPUTS * slots, dtype=torch.int64, device=device)
        self.latents = torch.zeros(slots + 1, gpt.config.width, device=device)  # of each slot's next code
        self._slots = torch.arange(slots, device=device)
        self.ill: set[int] = set()  # slots that may hold what is not a number

    def capture(self) -> None:
        """The largest come first: the others fit into their memory."""
        for rows in reversed(self.buckets.rows):
            self._send([], rows)
            for positions in reversed(self.buckets.positions):
                self.calls.capture(self._forward, rows, positions)
            for candidates in reversed(self.buckets.candidates):
                self.calls.capture(self._choose, rows, candidates)

    def run(self, rows: list[StepRow]) -> PendingCodes:
        """Keeps each slot's next code and latent."""
        num_rows = fitting(self.buckets.rows, max(row.slot for row in rows) + 1)
        num_positions = fitting(self.buckets.positions, max(row.num_cached for row in rows) + 1)
        self._send(rows, num_rows)
        self.calls.run(self._forward, num_rows, num_positions)
        return self._chosen(rows, num_rows)

    def choose(self, rows: list[StepRow]) -> PendingCodes:
        """The same for slots whose `latents` are there."""
        num_rows = fitting(self.buckets.rows, max(row.slot for row in rows) + 1)
        self._send(rows, num_rows)
        return self._chosen(rows, num_rows)

    def _chosen(self, rows: list[StepRow], num_rows: int) -> PendingCodes:
        self.calls.run(self._choose, num_rows, fitting(self.buckets.candidates, max(row.top_k for row in rows)))
        slots = [row.slot for row in rows]
        found = _table(self._outputs, num_rows)
        if self._device.type != "cuda":
            return PendingCodes(found.clone(), slots, ill=self.ill)
        host = torch.empty(found.shape, dtype=torch.int64, pin_memory=True)
        host.copy_(found, non_blocking=True)
        return PendingCodes(host, slots, torch.cuda.current_stream(self._device).record_event(), self.ill)

    def _send(self, rows: list[StepRow], num_rows: int) -> None:
        """One copy for all inputs. Rows that are not asked for stand behind their first code, with an empty cache."""
        host = torch.empty(NUM_INPUTS, num_rows, dtype=torch.int64, pin_memory=self._device.type == "cuda")
        inputs = host.numpy()
        inputs[:] = [[self._scratch], [1], [0]]
        slots = [row.slot for row in rows]
        inputs[:, slots] = [slots, [row.num_codes for row in rows], [row.num_cached for row in rows]]
        _table(self._inputs, num_rows).copy_(host, non_blocking=True)

    def _forward(self, num_rows: int, num_positions: int) -> None:
        """From the last codes to the latents."""
        slots, num_codes, num_cached = _table(self._inputs, num_rows).unbind()
        last_codes = self._state.codes[self._slots[:num_rows], num_codes - 1]
        x = self._gpt.embed_codes(last_codes, num_codes)
        hidden = self._gpt.hidden(x, self._cache.decode_first(slots, num_cached, num_positions))
        self.latents[:num_rows].copy_(self._gpt.latents(hidden))

    def _choose(self, num_rows: int, num_candidates: int) -> None:
        """From the latents to the next codes."""
        slots, num_codes, _ = _table(self._inputs, num_rows).unbind()
        latents, state = self.latents[:num_rows], self._state
        params = state.sampling.first(num_rows, num_candidates)
        logits, stop = self._gpt.logits(latents), self._gpt.config.stop_audio_token
        found = choose(state, Rows(slots, num_codes), state.seen[:num_rows], latents, logits, params, stop)
        _table(self._outputs, num_rows).copy_(found)


def _table(buffer: Tensor, num_rows: int) -> Tensor:
    """The beginning of a buffer as [3, rows], in one piece."""
    return buffer[: NUM_INPUTS * num_rows].view(NUM_INPUTS, num_rows)
