"""The search, over services whose answer is a formula."""

import asyncio
from math import inf

import pytest

from loadtest.capacity.objective import Objective
from loadtest.capacity.search import CLOSE, highest_rate, knee, sweep
from loadtest.capacity.summary import Loop, Summary
from tests.loadtest.capacity.support import summary

BEST = 10.0  # s of audio a second


async def saturating(level: int) -> Summary:
    return summary(level, audio_s_per_s=min(BEST, 2.0 * level))


def test_sweep_ends_when_two_levels_gain_nothing() -> None:
    found = asyncio.run(sweep(saturating, max_at_once=64))
    assert [each.level for each in found] == [1, 2, 4, 8, 16, 32]


def test_sweep_ends_where_it_is_told_to() -> None:
    found = asyncio.run(sweep(saturating, max_at_once=6))
    assert [each.level for each in found] == [1, 2, 4]


def test_one_bad_level_does_not_end_the_sweep() -> None:
    async def shaky(level: int) -> Summary:
        return summary(level, audio_s_per_s=1.0 if level == 4 else float(level))

    assert [each.level for each in asyncio.run(sweep(shaky, max_at_once=16))] == [1, 2, 4, 8, 16]


def test_knee_is_the_fewest_that_get_nearly_all() -> None:
    assert knee([summary(1, 4.0), summary(2, 9.1), summary(4, 10.0), summary(8, 9.5)]).level == 2


@pytest.mark.parametrize("limit_hz", [0.3, 2.9, 3.0, 3.1, 17.0])
def test_highest_rate_is_found_and_never_passed(limit_hz: float) -> None:
    async def queue(rate_hz: float) -> Summary:
        wait_s = 0.05 / (1.0 - rate_hz / (1.25 * limit_hz)) if rate_hz < 1.25 * limit_hz else inf  # 0.25 s at the limit
        return summary(rate_hz, ttfa_s=wait_s, loop=Loop.OPEN)

    objective = Objective(ttfa_p95_s=0.25)
    held, tried = asyncio.run(highest_rate(queue, objective, start_hz=3.0, max_tries=16))
    assert held is not None and limit_hz / CLOSE <= held.level <= limit_hz * 1.000001
    assert len(tried) < 16


def test_no_rate_is_found_where_none_holds() -> None:
    async def slow(rate_hz: float) -> Summary:
        return summary(rate_hz, ttfa_s=9.0, loop=Loop.OPEN)

    held, tried = asyncio.run(highest_rate(slow, Objective(), start_hz=8.0, max_tries=4))
    assert held is None
    assert [each.level for each in tried] == [8.0, 4.0, 2.0, 1.0]
