"""Passes of fixed shape over the slots, captured as graphs where there is a GPU. Knows sequences and their slots."""

import torch

from serve_app.engine.buckets import Buckets
from serve_app.engine.config import EngineConfig
from serve_app.engine.cuda_graphs import HIGH_PRIORITY, calls_on
from serve_app.engine.decode_step import DecodeStep, StepRow
from serve_app.engine.kv_cache import KvCache
from serve_app.engine.prefill_step import PrefillStep
from serve_app.engine.sampler import SamplingRows, top_k_of
from serve_app.engine.sequence import PREFIX_EXTRA_ROWS, Sequence
from serve_app.engine.slots import SlotState
from serve_app.engine.step_codes import PendingCodes
from serve_app.model.device import to_device
from serve_app.model.gpt import Gpt


class FixedPasses:
    """Their inputs and outputs have one place each, which is used again in the order of the stream."""

    def __init__(self, gpt: Gpt, cache: KvCache, state: SlotState, config: EngineConfig, device: torch.device) -> None:
        shapes = gpt.config
        self._state, self._device, self._vocabulary = state, device, shapes.num_audio_tokens
        max_prefix_rows = shapes.max_sentence_tokens + PREFIX_EXTRA_ROWS
        self.buckets = Buckets.of(config, cache.num_positions, shapes.num_audio_tokens, max_prefix_rows)
        # they are short, and go before what the vocoder computes at the same time
        calls = calls_on(device, config, HIGH_PRIORITY)
        self.decode_step = DecodeStep(gpt, cache, state, self.buckets, device, calls)
        self.prefill_step = PrefillStep(gpt, cache, state, self.decode_step, config, device)

    @torch.inference_mode()
    def capture(self) -> None:
        """Captures every bucket, before the first pass."""
        self.prefill_step.capture()
        self.decode_step.capture()

    def prefill(self, sequences: tuple[Sequence, ...]) -> PendingCodes:
        params = [sequence.prompt.sampling for sequence in sequences]
        rows = [self._row(sequence, 0, 0) for sequence in sequences]
        slots = to_device(torch.tensor([row.slot for row in rows]), self._device)
        self._state.sampling.write(slots, SamplingRows.of(params, self._vocabulary, self._device))
        self.prefill_step.run(sequences)
        return self.decode_step.choose(rows)

    def decode(self, sequences: tuple[Sequence, ...]) -> PendingCodes:
        return self.decode_step.run(
            [self._row(sequence, sequence.num_begun, sequence.num_cached) for sequence in sequences]
        )

    def _row(self, sequence: Sequence, num_codes: int, num_cached: int) -> StepRow:
        assert sequence.slot is not None
        return StepRow(sequence.slot, num_codes, num_cached, top_k_of(sequence.prompt.sampling, self._vocabulary))
