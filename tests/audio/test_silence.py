"""Long silences are cut short; everything else is left as it is, however the samples are cut into chunks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.audio.pcm import Samples
from serve_app.audio.silence import MAX_SILENCE_S, ONSET_S, SilenceLimiter

RATE_HZ = 24_000


def noise(duration_s: float, level: float = 0.1) -> Samples:
    return (level * np.random.default_rng(7).standard_normal(round(duration_s * RATE_HZ))).astype(np.float32)


def silence(duration_s: float) -> Samples:
    return np.zeros(round(duration_s * RATE_HZ), np.float32)


def limited(samples: Samples, *cuts: int) -> tuple[Samples, int]:
    limiter = SilenceLimiter(RATE_HZ)
    parts = [limiter.feed(part) for part in np.split(samples, sorted(cuts))]
    return np.concatenate([*parts, limiter.finish()]), limiter.num_cut


@pytest.mark.parametrize("pause_s", [0.0, 0.3, MAX_SILENCE_S - 0.02])
def test_speech_with_natural_pauses_is_left_as_it_is(pause_s: float) -> None:
    samples = np.concatenate([silence(pause_s), noise(0.5), silence(pause_s), noise(0.503)])
    kept, num_cut = limited(samples)
    np.testing.assert_array_equal(kept, samples)
    assert num_cut == 0


def test_long_silence_is_cut_to_the_limit() -> None:
    before, after = noise(0.5), noise(0.4)
    kept, num_cut = limited(np.concatenate([before, silence(3.0), after]))
    np.testing.assert_array_equal(kept, np.concatenate([before, silence(MAX_SILENCE_S), after]))
    assert num_cut == round((3.0 - MAX_SILENCE_S) * RATE_HZ)


def test_silence_at_the_end_is_cut() -> None:
    kept, num_cut = limited(np.concatenate([noise(0.5), silence(2.0)]))
    assert len(kept) == round((0.5 + MAX_SILENCE_S - ONSET_S) * RATE_HZ)
    assert len(kept) + num_cut == round(2.5 * RATE_HZ)


def test_soft_beginning_after_a_silence_is_kept() -> None:
    soft = noise(ONSET_S, level=0.001)
    kept, _ = limited(np.concatenate([noise(0.2), silence(2.0), soft, noise(0.2)]))
    start = len(kept) - round((0.2 + ONSET_S) * RATE_HZ)
    np.testing.assert_array_equal(kept[start : start + len(soft)], soft)


@given(cuts=st.lists(st.integers(0, 60_000), max_size=8))
def test_cuts_into_chunks_change_nothing(cuts: list[int]) -> None:
    samples = np.concatenate([silence(0.9), noise(0.3), silence(1.0), noise(0.1), silence(0.8)])[:60_000]
    whole, num_cut = limited(samples)
    in_parts, num_cut_in_parts = limited(samples, *cuts)
    np.testing.assert_array_equal(in_parts, whole)
    assert num_cut == num_cut_in_parts > 0
