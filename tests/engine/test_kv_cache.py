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


def _cache(*, is_finite: bool = False, rubbish: float = float("nan")) -> KvCache:
    """A cache whose unwritten rows hold rubbish, as memory that was never touched may, and a failed sequence leaves."""
    cache = KvCache(CONFIG, SLOTS + 1, device=CPU, dtype=torch.float32, is_finite=is_finite)
    for layer in range(CONFIG.num_layers):
        for slot in range(SLOTS + 1):
            _attended(cache.prefill([slot], [40]), layer, torch.full((40, 3, 4, 8), rubbish))
    return cache


def _decode(cache: KvCache, slots: list[int], positions: list[int], num_positions: int = 48) -> Attend:
    """By `decode_first` where the cache is made for it; the rows that are padding then hold rubbish."""
    if not cache._is_finite:
        return cache.decode(slots, positions)
    num_rows = max(slots) + 1
    targets, places = torch.full((num_rows,), SLOTS), torch.zeros(num_rows, dtype=torch.int64)
    targets[slots], places[slots] = torch.tensor(slots), torch.tensor(positions)
    over = cache.decode_first(targets, places, num_positions)

    def attend(layer: int, qkv: Tensor) -> Tensor:
        everyone = torch.full((num_rows, *qkv.shape[1:]), float("nan"))
        everyone[slots] = qkv
        return _attended(over, layer, everyone)[slots]

    return attend


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


def _prefill(cache: KvCache, slots: list[int], lengths: list[int], layer: int, rows: Tensor) -> None:
    """By `prefill_padded` where the cache is made for it, with something at their end."""
    if not cache._is_finite:
        _attended(cache.prefill(slots, lengths), layer, rows)
        return
    longest = max(lengths) + 2
    padded = torch.full((len(slots), longest, *rows.shape[1:]), 7.0)
    for each, part in zip(padded, rows.split(lengths), strict=True):
        each[: len(part)] = part
    attended = _attended(cache.prefill_padded(torch.tensor(slots), longest), layer, padded.flatten(0, 1))
    for each, part in zip(attended.unflatten(0, (len(slots), longest)), rows.split(lengths), strict=True):
        assert largest_difference(each[: len(part)], _attention(part)) < 1e-6


@pytest.mark.parametrize("is_finite", [False, True])
def test_decode_goes_on_where_the_prefix_ended(is_finite: bool) -> None:
    cache = _cache(is_finite=is_finite)
    lengths, slots = [3, 9], [2, 0]
    prefixes = _rows(12, 2)
    for layer in range(2):
        cache.clear(slots)
        _prefill(cache, slots, lengths, layer, prefixes)
    whole = list(prefixes.split(lengths))
    for step in range(3):
        new = _rows(2, 10 + step)
        attended = _attended(_decode(cache, slots, [length + step for length in lengths]), 1, new)
        for row in range(2):
            whole[row] = torch.cat([whole[row], new[row : row + 1]])
            assert largest_difference(attended[row], _attention(whole[row])[-1]) < 1e-6


@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), 1e30])
def test_first_slots_at_once_equal_each_alone(rubbish: float) -> None:
    """The GPU's way on a CPU. What earlier sequences left in the slots is not read."""
    slots, lengths = [3, 1, 4], [2, 11, 6]
    outcomes = []
    for is_finite in (False, True):
        cache = _cache(is_finite=is_finite, rubbish=rubbish)
        if is_finite:
            cache.clear(list(range(SLOTS)))
        for layer in range(2):
            _prefill(cache, slots, lengths, layer, _rows(19, layer))
        attend = _decode(cache, slots, lengths)
        outcomes.append([_attended(attend, layer, _rows(3, 5 + layer)) for layer in range(2)])
    for each, at_once in zip(*outcomes, strict=True):
        assert bool(torch.isfinite(each).all())
        assert largest_difference(each, at_once) < 1e-6


def test_number_of_positions_does_not_matter() -> None:
    cache = _cache(is_finite=True)
    cache.clear(list(range(SLOTS)))
    _prefill(cache, [1, 0], [5, 30], 0, _rows(35, 1))
    few, many = (_attended(_decode(cache, [1, 0], [5, 30], size), 0, _rows(2, 2)) for size in (32, cache.num_positions))
    assert largest_difference(few, many) < 1e-6


def test_padding_writes_to_the_slot_it_is_told() -> None:
    cache = _cache(is_finite=True, rubbish=1.0)
    before = cache._cache.clone()
    _attended(_decode(cache, [3], [4]), 0, _rows(1, 2))
    before[0, 3, :, :, 4] = cache._cache[0, 3, :, :, 4]
    assert torch.equal(cache._cache[:, :SLOTS], before[:, :SLOTS])


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
