"""Which loads to try: until more at once gains nothing, and up to the highest rate that keeps the objective."""

from collections.abc import Awaitable, Callable, Sequence

from loadtest.capacity.objective import Objective
from loadtest.capacity.summary import Summary

WORTHWHILE = 1.05  # times the best so far: less is no gain
NEARLY_ALL = 0.9  # of the best throughput: beyond the knee requests only wait longer
GROWTH = 1.3  # of the rate, while it holds
CLOSE = 1.1  # rate that fails by rate that holds: close enough


async def sweep(measure: Callable[[int], Awaitable[Summary]], max_at_once: int) -> list[Summary]:
    """1, 2, 4, … at once, until two levels in a row gain nothing."""
    found: list[Summary] = []
    best, num_in_vain, level = 0.0, 0, 1
    while level <= max_at_once and num_in_vain < 2:
        found.append(await measure(level))
        num_in_vain = 0 if found[-1].audio_s_per_s > WORTHWHILE * best else num_in_vain + 1
        best = max(best, found[-1].audio_s_per_s)
        level *= 2
    return found


def knee(levels: Sequence[Summary]) -> Summary:
    """The fewest at once that get nearly all that can be got."""
    best = max(each.audio_s_per_s for each in levels)
    return next(each for each in levels if each.audio_s_per_s >= NEARLY_ALL * best)


async def highest_rate(
    measure: Callable[[float], Awaitable[Summary]], objective: Objective, start_hz: float, max_tries: int
) -> tuple[Summary | None, list[Summary]]:
    """The best stage that kept the objective, None where none did, and all that were tried, in their order."""
    assert start_hz > 0.0 and max_tries > 0
    tried: list[Summary] = []
    held: Summary | None = None
    held_hz, failed_hz, rate_hz = 0.0, float("inf"), start_hz
    while len(tried) < max_tries and failed_hz > CLOSE * held_hz:
        tried.append(await measure(rate_hz))
        if objective.misses(tried[-1]):
            failed_hz = rate_hz
        else:
            held, held_hz = tried[-1], rate_hz
        rate_hz = GROWTH * held_hz if failed_hz == float("inf") else (held_hz + failed_hz) / 2.0
    return held, tried
