"""Shapes of load: how many users there are, when, and where a ramp ends."""

import pytest

from loadtest.shapes.plans import Plan, Ramp, Stage, disconnect_storm, soak, spike, steps


def users(plan: Plan, times_s: list[float]) -> list[int | None]:
    return [stage and stage.num_users for stage in map(plan.stage_at, times_s)]


def test_steps_rise_to_the_most() -> None:
    assert users(steps(50, 10.0), [0.0, 9.9, 10.0, 25.0, 49.9, 50.0]) == [10, 10, 20, 30, 50, None]


def test_few_users_are_never_none() -> None:
    assert users(steps(2, 1.0), [0.5, 1.5, 4.5]) == [1, 1, 2]


def test_spike_returns() -> None:
    assert users(spike(40, 10.0), [5.0, 12.0, 16.0, 25.0]) == [4, 40, 4, None]


def test_soak_is_long() -> None:
    assert users(soak(30, 60.0), [0.0, 3_599.0, 3_600.0]) == [10, 10, None]


def test_leavers_come_in_the_middle() -> None:
    plan = disconnect_storm(8, 10.0)
    assert [plan.stage_at(at_s) for at_s in (5.0, 15.0, 25.0)] == [
        Stage(4, 10.0),
        Stage(8, 10.0, has_leavers=True),
        Stage(4, 10.0),
    ]


@pytest.mark.parametrize(
    ("best_hz", "max_users", "levels", "knee"),
    [(4.0, 64, [1, 2, 4, 8], 4), (4.0, 4, [1, 2, 4], 4), (0.5, 64, [1, 2], 1)],
    ids=["found", "too few users", "at once"],
)
def test_ramp_ends_where_throughput_no_longer_follows(
    best_hz: float, max_users: int, levels: list[int], knee: int
) -> None:
    """Of a service that does `best_hz` speeches a second at most, and one for each user and second below that."""
    ramp, num_done, now_s = Ramp(max_users, level_s=20.0), 0.0, 0.0
    while (num_users := ramp.users_at(now_s, round(num_done))) is not None:
        num_done += min(num_users, best_hz)
        now_s += 1.0
    assert list(ramp.rates_hz) == levels
    assert ramp.knee == knee
