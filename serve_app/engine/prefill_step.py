"""Prefixes read as a GPU wants it: fixed shapes over memory that stays where it is.

A pass reads so many prefixes of so many rows each. Rows past a prefix's end, and prefixes that fill up a pass, compute
something nobody reads: the former stand in their slot behind what will be overwritten before it is read, the latter in
the scratch slot.
"""

from collections.abc import Iterator
from collections.abc import Sequence as Several

import torch

from serve_app.engine.buckets import fitting, num_prefixes
from serve_app.engine.config import EngineConfig
from serve_app.engine.decode_step import DecodeStep
from serve_app.engine.kv_cache import KvCache
from serve_app.engine.sequence import Sequence
from serve_app.engine.slots import SlotState
from serve_app.model.config import NUM_CONDITIONING_LATENTS
from serve_app.model.gpt import Gpt


class PrefillStep:
    """Reads prefixes to the latent of their first code, which `step` chooses."""

    def __init__(
        self,
        gpt: Gpt,
        cache: KvCache,
        state: SlotState,
        step: DecodeStep,
        config: EngineConfig,
        device: torch.device,
    ) -> None:
        self._gpt, self._cache, self._state, self._step, self._config = gpt, cache, state, step, config
        buckets = self._buckets = step.buckets
        self._is_gpu = device.type == "cuda"
        sizes = [(num_prefixes(config, length)[-1], length) for length in buckets.prefixes]
        most = max(num for num, _ in sizes)
        num_inputs = max(_num_inputs(num, length) for num, length in sizes)
        self._inputs = torch.zeros(num_inputs, dtype=torch.int64, device=device)
        self._cond_latents = torch.zeros(most, NUM_CONDITIONING_LATENTS, gpt.config.width, device=device)

    def capture(self) -> None:
        """The largest come first: the others fit into their memory."""
        for length in reversed(self._buckets.prefixes):
            for num in reversed(num_prefixes(self._config, length)):
                self._send([], num, length)
                self._step.calls.capture(self._forward, num, length)

    def run(self, sequences: Several[Sequence]) -> None:
        """Their prefixes, into slots as good as new then; latents of first codes to where `DecodeStep` looks."""
        ill = self._step.ill.intersection(sequence.slot for sequence in sequences)
        if ill:
            self._cache.clear(sorted(ill))
            self._step.ill -= ill
        for part, length in self._parts(sequences):
            num = fitting(num_prefixes(self._config, length), len(part))
            self._send(part, num, length)
            self._step.calls.run(self._forward, num, length)

    def _parts(self, sequences: Several[Sequence]) -> Iterator[tuple[list[Sequence], int]]:
        """Those of one pass and its rows a prefix; like beside like, so that little is padding."""
        left = sorted(sequences, key=lambda sequence: sequence.num_prefix_rows)
        while left:
            length = fitting(self._buckets.prefixes, left[-1].num_prefix_rows)
            most = num_prefixes(self._config, length)[-1]
            yield left[-most:], length
            del left[-most:]

    def _send(self, sequences: Several[Sequence], num: int, length: int) -> None:
        """Two copies for all inputs. What fills up a pass is a prefix of no text in the scratch slot."""
        host = torch.zeros(_num_inputs(num, length), dtype=torch.int64, pin_memory=self._is_gpu)
        inputs = host.numpy()
        text, slots, lengths = inputs[: -2 * num].reshape(num, -1), inputs[-2 * num : -num], inputs[-num:]
        slots[:], lengths[:] = self._buckets.rows[-1], length
        start, stop = self._gpt.config.start_text_token, self._gpt.config.stop_text_token
        for row, sequence in enumerate(sequences):
            tokens = (start, *sequence.prompt.text_tokens, stop)
            text[row, : len(tokens)] = tokens
            slots[row], lengths[row] = sequence.slot, sequence.num_prefix_rows
        self._inputs[: len(host)].copy_(host, non_blocking=True)
        if sequences:
            latents = torch.empty(len(sequences), *self._cond_latents.shape[1:], pin_memory=self._is_gpu)
            torch.stack([sequence.prompt.voice.cond_latents.float() for sequence in sequences], out=latents)
            self._cond_latents[: len(sequences)].copy_(latents, non_blocking=True)

    def _forward(self, num: int, length: int) -> None:
        inputs = self._inputs[: _num_inputs(num, length)]
        text, slots, lengths = inputs[: -2 * num].view(num, -1), inputs[-2 * num : -num], inputs[-num:]
        self._state.clear(slots, self._gpt.config.start_audio_token)
        x = self._gpt.embed_prefixes(self._cond_latents[:num], text, lengths)
        hidden = self._gpt.hidden(x, self._cache.prefill_padded(slots, length))
        last = torch.arange(num, device=slots.device) * length + lengths - 1
        self._step.latents.index_copy_(0, slots, self._gpt.latents(hidden[last]))


def _num_inputs(num: int, length: int) -> int:
    """Of each prefix its text with START, STOP and the start code's place, its slot and its rows."""
    return num * (length - NUM_CONDITIONING_LATENTS + 2)
