"""Keys and values of every slot, and attention over them. Knows rows and slots, not sequences.

Fixed slots: one row of the cache holds one sequence from its first position on. Memory of a slot is touched only as far
as it is filled. Two ways to attend in a decode step: `decode` (CPU: a product per sequence over exactly its own rows,
so no padding is read and a sequence cannot depend on its neighbours) and `decode_first` (GPU: the first so many slots
at once, in place, so many positions of each; the shape that a captured graph needs). For the latter a cache
`is_finite`: rows not written yet are zeros, and a slot is cleared after a sequence that had a NaN, since neither a
weight of 0 nor a score of −inf takes that away. Prefixes likewise: `prefill` for their rows alone, `prefill_padded` for
as many rows of each.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from serve_app.kernels import Kernels
from serve_app.model.config import GptConfig
from serve_app.model.device import to_device
from serve_app.model.gpt import Attend

ALIGNED_POSITIONS = 16  # a mask's rows of another length are copied in every layer

# Queries [rows, heads, 1, head size] of a layer over its cache → the same shape.
AttendOver = Callable[[int, Tensor], Tensor]


class KvCache:
    """`[layers, slots, 2, heads, positions, head size]`: keys, then values."""

    def __init__(
        self,
        config: GptConfig,
        num_slots: int,
        *,
        device: torch.device,
        dtype: torch.dtype,
        is_finite: bool = False,
        kernels: Kernels | None = None,
    ) -> None:
        self._is_finite, self._kernels = is_finite, kernels
        self.num_positions = config.max_positions
        if is_finite:
            self.num_positions += -config.max_positions % ALIGNED_POSITIONS
        shape = (config.num_layers, num_slots, 2, config.num_heads, self.num_positions, config.head_size)
        make = torch.zeros if is_finite else torch.empty
        self._cache = make(shape, device=device, dtype=dtype)
        self._layers = list(self._cache)
        # [layer][slot] → keys and values, [1, heads, positions, head size] each
        self._rows = [[(slot[0:1], slot[1:2]) for slot in layer] for layer in self._layers]

    @property
    def num_bytes(self) -> int:
        """Reserved; on a CPU only what is written is held."""
        return self._cache.numel() * self._cache.element_size()

    def prefill(self, slots: list[int], lengths: list[int]) -> Attend:
        """For rows that are whole prefixes, one after another: `lengths[i]` rows fill `slots[i]` from position 0.

        Rows past the sum of `lengths` are padding.
        """

        def attend(layer: int, qkv: Tensor) -> Tensor:
            qkv = qkv.to(self._cache.dtype).permute(1, 2, 0, 3)  # [3, heads, rows, head size]
            parts = []
            start = 0
            for slot, length in zip(slots, lengths, strict=True):
                prefix = qkv[:, :, start : start + length]
                self._layers[layer][slot, :, :, :length] = prefix[1:]
                q, k, v = prefix.unsqueeze(1)
                parts.append(functional.scaled_dot_product_attention(q, k, v, is_causal=True)[0])
                start += length
            attended = torch.cat(parts, dim=1).transpose(0, 1)
            return functional.pad(attended, (0, 0, 0, 0, 0, qkv.shape[2] - start))

        return attend

    def clear(self, slots: list[int]) -> None:
        """Leaves nothing of earlier sequences there: where one of them had values that are no numbers."""
        for slot in slots:
            self._cache[:, slot].zero_()

    def prefill_padded(self, slots: Tensor, length: int) -> Attend:
        """For rows that are prefixes of `length` rows each: prefix i fills `slots[i]` from position 0.

        `slots` [n] int64, read when attention runs. No row attends to later ones, so padding belongs at the end; it is
        written too.
        """
        num = len(slots)

        def attend(layer: int, qkv: Tensor) -> Tensor:
            rows = qkv.to(self._cache.dtype).unflatten(0, (num, length)).permute(0, 2, 3, 1, 4)
            self._layers[layer][:, :, :, :length].index_copy_(0, slots, rows[:, 1:])
            q, k, v = rows.unbind(1)  # [n, heads, length, head size]
            attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return attended.transpose(1, 2).flatten(0, 1)

        return attend

    def decode(self, slots: list[int], positions: list[int]) -> Attend:
        """For one new row per slot, at `positions[i]` of `slots[i]`. Rows past `len(slots)` are padding."""
        device, num_rows = self._cache.device, len(slots)
        slot_index = to_device(torch.tensor(slots), device)
        position_index = to_device(torch.tensor(positions), device)
        over = self._each(slots, positions)

        def attend(layer: int, qkv: Tensor) -> Tensor:
            rows = qkv[:num_rows].to(self._cache.dtype)
            self._layers[layer][slot_index, :, :, position_index] = rows[:, 1:]
            attended = over(layer, rows[:, 0].unsqueeze(2))  # [rows, heads, 1, head size]
            return functional.pad(attended.squeeze(2), (0, 0, 0, 0, 0, qkv.shape[0] - num_rows))

        return attend

    def _each(self, slots: list[int], positions: list[int]) -> AttendOver:
        filled = [(row, slot, position + 1) for row, (slot, position) in enumerate(zip(slots, positions, strict=True))]

        def attend(layer: int, queries: Tensor) -> Tensor:
            cached, query = self._rows[layer], queries.split(1)
            parts = []
            for row, slot, length in filled:
                keys, values = cached[slot]
                keys, values = keys.narrow(2, 0, length), values.narrow(2, 0, length)
                parts.append(functional.scaled_dot_product_attention(query[row], keys, values))
            return torch.cat(parts)

        return attend

    def decode_first(self, slots: Tensor, positions: Tensor, num_positions: int) -> Attend:
        """For one new row for each of the first slots: row i attends over slot i, up to `positions[i]` of it.

        It is written to `positions[i]` of `slots[i]`, which is i, or another slot for a row that does not count. Both
        [rows] int64, read when attention runs; all positions are below `num_positions`.
        """
        assert self._is_finite
        kernels = self._kernels
        if kernels is not None:
            return lambda layer, qkv: kernels.decode_attention(
                qkv.to(self._cache.dtype), self._layers[layer], slots, positions
            )
        num_rows = len(slots)
        columns = torch.arange(num_positions, device=self._cache.device)
        mask = torch.zeros(num_rows, num_positions, device=self._cache.device, dtype=self._cache.dtype)
        mask = mask.masked_fill(columns > positions[:, None], float("-inf"))[:, None, None]  # [rows, 1, 1, positions]

        def attend(layer: int, qkv: Tensor) -> Tensor:
            cached, rows = self._layers[layer], qkv.to(self._cache.dtype)
            cached[slots, :, :, positions] = rows[:, 1:]
            keys, values = cached[:num_rows, :, :, :num_positions].unbind(1)
            queries = rows[:, 0].unsqueeze(2)  # [rows, heads, 1, head size]
            return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask).squeeze(2)

        return attend
