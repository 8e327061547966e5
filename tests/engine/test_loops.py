"""Codes that go round in circles are found, and speech is not taken for them."""

import random

import pytest

from serve_app.engine.loops import LOOP_CODES, MAX_PERIOD, NUM_CODES_SEEN, is_looping


def drawn(num_codes: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(1024) for _ in range(num_codes)]


@pytest.mark.parametrize("period", [1, 2, 7, MAX_PERIOD])
def test_repeated_codes_are_a_loop(period: int) -> None:
    codes, circle = drawn(10, seed=1), drawn(period, seed=2)
    looping = codes + [circle[index % period] for index in range(LOOP_CODES + period)]
    assert is_looping(looping[-NUM_CODES_SEEN:])
    assert not is_looping([*looping[:-1], 1_024])


@pytest.mark.parametrize("period", [1, 5, MAX_PERIOD])
def test_fewer_repetitions_are_none(period: int) -> None:
    circle = drawn(period, seed=2)
    codes = [2_000, *(circle[index % period] for index in range(LOOP_CODES + period - 1))]
    assert not is_looping(codes[-NUM_CODES_SEEN:])


@pytest.mark.parametrize("num_codes", [0, 1, LOOP_CODES, NUM_CODES_SEEN])
def test_speech_is_no_loop(num_codes: int) -> None:
    assert not is_looping(drawn(num_codes, seed=3))


def test_too_few_codes_are_no_loop_though_all_alike() -> None:
    assert not is_looping([7] * LOOP_CODES)
    assert is_looping([7] * (LOOP_CODES + 1))
