from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from serve_app.engine.kv_cache import KvCache
from serve_app.model.config import GptConfig
from serve_app.model.gpt import Attend
from tests.engine.support import CPU, largest_difference

CONFIG = GptConfig(num_layers=2, width=32, num_heads=4)
SLOTS = 5


def _cache(*, is_masked: bool = False, rubbish: float = float("nan"), is_deterministic: bool = False) -> KvCache:
    """A cache whose unwritten rows hold rubbish, as memory that was never touched may, and a failed sequence leaves."""
    cache = KvCache(CONFIG, SLOTS, device=CPU, dtype=torch.float32, is_deterministic=is_deterministic)
    for layer in range(CONFIG.num_layers):
        for slot in range(SLOTS):
            _attended(cache.prefill([slot], [40]), layer, torch.full((40, 3, 4, 8), rubbish))
    cache._is_masked = is_masked
    return cache


def _attended(attend: Attend, layer: int, qkv: Tensor) -> Tensor:
    """[rows, 3, heads, head size] → [rows, heads, head size]."""
    return attend(layer, qkv)


def _rows(num_rows: int, seed: int) -> Tensor:
    """Queries, keys and values, [rows, 3, heads, head size]."""
    return torch.randn(num_rows, 3, 4, 8, generator=torch.Generator().manual_seed(seed))


def _attention(qkv: Tensor) -> Tensor:
    """Causal, in the plainest way: [rows, 3, heads, head size] → [rows, heads, head size]."""
    q, k, v = qkv.double().permute(1, 2, 0, 3)
    scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
    later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    attended: Tensor = scores.masked_fill(later, float("-inf")).softmax(dim=-1) @ v
    return attended.transpose(0, 1).float()


def test_prefixes_side_by_side_attend_to_themselves_alone() -> None:
    cache = _cache()
    lengths = [3, 7, 5]
    rows = _rows(sum(lengths) + 4, 1)  # the last four are padding
    attended = _attended(cache.prefill([4, 0, 2], lengths), 1, rows)
    expected = [_attention(part) for part in rows[:15].split(lengths)]
    assert largest_difference(attended[:15], torch.cat(expected)) < 1e-6
    assert torch.equal(attended[15:], torch.zeros(4, 4, 8))


@pytest.mark.parametrize("is_masked", [False, True])
def test_decode_goes_on_where_the_prefix_ended(is_masked: bool) -> None:
    cache = _cache(is_masked=is_masked)
    lengths, slots = [3, 9], [2, 0]
    prefixes = _rows(12, 2)
    _attended(cache.prefill(slots, lengths), 0, prefixes)
    whole = list(prefixes.split(lengths))
    for step in range(3):
        new = _rows(2, 10 + step)
        attended = _attended(cache.decode(slots, [length + step for length in lengths]), 0, new)
        for row in range(2):
            whole[row] = torch.cat([whole[row], new[row : row + 1]])
            assert largest_difference(attended[row], _attention(whole[row])[-1]) < 1e-6


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), 1e30])
def test_masked_path_equals_the_path_one_by_one(rubbish: float, padding: int) -> None:
    """The GPU's way, over all slots padded to the longest, on a CPU. What lies in unwritten rows is not read."""
    slots, lengths = [3, 1, 4], [2, 11, 6]
    outcomes = []
    for is_masked in (False, True):
        cache = _cache(is_masked=is_masked, rubbish=rubbish)
        for layer in range(2):
            _attended(cache.prefill(slots, lengths), layer, _rows(19, layer))
        attend = cache.decode(slots, lengths)
        outcomes.append([_attended(attend, layer, _rows(3 + padding, 5 + layer)) for layer in range(2)])
    for each, masked in zip(*outcomes, strict=True):
        assert bool(torch.isfinite(each).all())
        assert largest_difference(each, masked) < 1e-6


@pytest.mark.parametrize("is_deterministic", [False, True])
def test_masked_path_has_one_shape_in_deterministic_mode(
    is_deterministic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = _cache(is_masked=True, is_deterministic=is_deterministic)
    plain = _cache()
    shapes, outcomes = set(), []
    attend_to = functional.scaled_dot_product_attention

    def noting(queries: Tensor, keys: Tensor, values: Tensor, **options: Any) -> Tensor:
        if "attn_mask" in options:
            shapes.add((queries.shape, keys.shape))
        return attend_to(queries, keys, values, **options)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", noting)
    for slots, lengths in (([1], [4]), ([3, 0, 2], [4, 9, 6]), ([4, 1], [30, 2])):
        for each in (cache, plain):
            _attended(each.prefill(slots, lengths), 0, _rows(sum(lengths), 1))
            outcomes.append(_attended(each.decode(slots, lengths), 0, _rows(len(slots), 2)))
        assert largest_difference(*outcomes[-2:]) < 1e-6
    assert len(shapes) == (1 if is_deterministic else 3)


def test_order_of_slots_does_not_matter() -> None:
    cache = _cache()
    _attended(cache.prefill([0, 1], [4, 6]), 0, _rows(10, 1))
    new = _rows(2, 2)
    forwards = _attended(cache.decode([0, 1], [4, 6]), 0, new)
    backwards = _attended(cache.decode([1, 0], [6, 4]), 0, new.flip(0))
    assert torch.equal(forwards, backwards.flip(0))


def test_slot_is_good_as_new_for_the_next_sequence() -> None:
    rows, new = _rows(5, 3), _rows(1, 4)
    used = _cache()
    _attended(used.prefill([1], [30]), 0, _rows(30, 9))
    outcomes = []
    for cache in (used, _cache()):
        _attended(cache.prefill([1], [5]), 0, rows)
        outcomes.append(_attended(cache.decode([1], [5]), 0, new))
    assert torch.equal(*outcomes)


def test_published_slot_takes_129_megabytes_in_16_bit() -> None:
    with torch.device("meta"):
        cache = KvCache(GptConfig(), 3, device=torch.device("meta"), dtype=torch.bfloat16)
    assert cache.num_bytes / 3 == 2 * 30 * 1024 * 1037 * 2
    assert 125e6 < cache.num_bytes / 3 < 130e6


def test_attention_of_these_tests_is_torchs() -> None:
    rows = _rows(6, 1)
    q, k, v = rows.permute(1, 2, 0, 3).unsqueeze(1)
    expected = functional.scaled_dot_product_attention(q, k, v, is_causal=True)[0].transpose(0, 1)
    assert largest_difference(_attention(rows), expected) < 1e-6
