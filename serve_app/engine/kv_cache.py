"""Keys and values of every slot, and attention over them. Knows rows and slots, not sequences.

Fixed slots: one row of the cache holds one sequence from its first position on. Memory of a slot is touched only as far
as it is filled. Two ways to attend in a decode step: `each` (CPU: a product per sequence over exactly its own rows, so
no padding is read and a sequence cannot depend on its neighbours) and `masked` (GPU: all sequences at once, padded to
the longest; the shape that a captured graph per bucket needs).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from serve_app.model.config import GptConfig
from serve_app.model.device import to_device
from serve_app.model.gpt import Attend

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
        is_deterministic: bool = False,
    ) -> None:
        """`is_deterministic`: masked attention has one shape whoever runs, all slots by all positions."""
        shape = (config.num_layers, num_slots, 2, config.num_heads, config.max_positions, config.head_size)
        self._cache = torch.empty(shape, device=device, dtype=dtype)
        self._layers = list(self._cache)
        # [layer][slot] → keys and values, [1, heads, positions, head size] each
        self._rows = [[(slot[0:1], slot[1:2]) for slot in layer] for layer in self._layers]
        self._is_masked = device.type != "cpu"
        self._is_deterministic = is_deterministic

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

    def decode(self, slots: list[int], positions: list[int]) -> Attend:
        """For one new row per slot, at `positions[i]` of `slots[i]`. Rows past `len(slots)` are padding."""
        device, num_rows = self._cache.device, len(slots)
        slot_index = to_device(torch.tensor(slots), device)
        position_index = to_device(torch.tensor(positions), device)
        over = self._masked(slots, positions) if self._is_masked else self._each(slots, positions)

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

    def _masked(self, slots: list[int], positions: list[int]) -> AttendOver:
        num_rows, num_slots, max_length = len(slots), self._cache.shape[1], max(positions) + 1
        if self._is_deterministic:
            spare = num_slots - num_rows
            slots, positions, max_length = slots + [0] * spare, positions + [0] * spare, self._cache.shape[4]
        device = self._cache.device
        slot_index, last = (to_device(torch.tensor(each), device) for each in (slots, positions))
        columns = torch.arange(max_length, device=device)
        mask = (columns[None] <= last[:, None])[:, None, None]  # [rows, 1, 1, max length]
        unwritten = ~mask.transpose(-1, -2)

        def attend(layer: int, queries: Tensor) -> Tensor:
            queries = functional.pad(queries, (0, 0, 0, 0, 0, 0, 0, len(slots) - num_rows))
            keys, values = self._layers[layer][:, :, :, :max_length][slot_index].unbind(1)
            # an unwritten row may hold a NaN, which neither a weight of 0 nor a score of −inf takes away
            keys, values = keys.masked_fill(unwritten, 0.0), values.masked_fill(unwritten, 0.0)
            return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)[:num_rows]

        return attend
