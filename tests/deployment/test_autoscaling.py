"""How many replicas are wanted, by what they report, and how that behaves over time in Serve's own control loop."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray.serve.autoscaling_policy import _apply_autoscaling_config

from serve_app.deployment.application import engine_options
from serve_app.deployment.autoscaling import (
    FALLING_SINCE,
    PEAK,
    FleetLoad,
    autoscaling_config,
    load_report,
    replicas_wanted,
    steadied,
    wanted_for,
)
from serve_app.settings import Settings
from serve_app.speech.request import ServiceLoad

IDLE = FleetLoad(num_reports=2, slots=32, wanted_slots=0, oldest_wait_s=0, running_requests=0, queued_requests=0)


@pytest.mark.parametrize(
    ("load", "wanted"),
    [
        (IDLE, 0.0),
        (replace(IDLE, wanted_slots=12, running_requests=12), 1.0),  # three quarters of one replica's slots
        (replace(IDLE, wanted_slots=24, running_requests=3), 2.0),  # slots, not requests
        (replace(IDLE, wanted_slots=32, running_requests=16, queued_requests=8), 4.0),  # queued ones are as large
        (replace(IDLE, wanted_slots=4, oldest_wait_s=0.6), 3.0),  # late though slots are free: one more than run
        (replace(IDLE, wanted_slots=4, oldest_wait_s=0.4), 1 / 3),
        (replace(IDLE, num_reports=0, slots=0), 5.0),  # nothing known: as it is
    ],
)
def test_replicas_for_a_load(load: FleetLoad, wanted: float) -> None:
    assert wanted_for(load, num_running=2, num_target=5) == pytest.approx(wanted)


def test_what_a_replica_reports_is_what_the_policy_reads() -> None:
    reports = [load_report(ServiceLoad(16, 20, 0.1)), load_report(ServiceLoad(16, 16, 0.2))]
    metrics = {name: {number: report[name] for number, report in enumerate(reports)} for name in reports[0]}
    context = _context(metrics, 2)
    wanted, _ = replicas_wanted(cast(Any, context))
    assert wanted == pytest.approx(3.0)


def test_options_follow_from_the_settings() -> None:
    settings = Settings(max_slots=16, min_engine_replicas=2, max_engine_replicas=5, upscale_delay_s=3.0)
    config = engine_options(settings)["autoscaling_config"]
    assert (config.min_replicas, config.max_replicas, config.upscale_delay_s) == (2, 5, 3.0)
    assert config.downscale_delay_s == 300.0
    policy = config.policy.get_policy()  # a copy by pickle, as the controller has it
    assert policy.__qualname__ == replicas_wanted.__qualname__


class Fleet:
    """Replicas of 16 slots that take 60 s to load, under Serve's own delays, second by second."""

    slots, load_s = 16, 60

    def __init__(self) -> None:
        self.config = autoscaling_config(Settings(max_slots=16, max_engine_replicas=8), self.slots)
        self.decide = _apply_autoscaling_config(replicas_wanted)
        self.state: dict[str, Any] = {}
        self.target = self.num_running = 1
        self.started_s: list[int] = []
        self.num_changes = 0
        self.num_waiting_s = 0.0

    def run(self, now_s: int, wanted_slots: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.num_running += sum(now_s - at >= self.load_s for at in self.started_s)
        self.started_s = [at for at in self.started_s if now_s - at < self.load_s]
        share = wanted_slots / self.num_running
        late_s = max(0.0, share - self.slots) / self.slots
        self.num_waiting_s += max(0.0, wanted_slots - self.num_running * self.slots)
        report = load_report(ServiceLoad(self.slots, round(share), late_s))
        metrics = {name: dict.fromkeys(range(self.num_running), value) for name, value in report.items()}
        context = _context(metrics, self.num_running, self.target, self.config, self.state, float(now_s + 1))
        monkeypatch.setattr("ray.serve.autoscaling_policy.time.time", lambda: float(now_s))
        target, self.state = self.decide(cast(Any, context))
        target = min(8, max(1, target))
        self.num_changes += target != self.target
        if target > self.target:
            self.started_s += [now_s] * (target - self.num_running - len(self.started_s))
        elif target < self.target:
            self.started_s, self.num_running = [], min(self.num_running, target)
        self.target = target


def test_slow_rise_is_met_before_anyone_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a replica more every minute for twenty minutes."""
    fleet = Fleet()
    for now_s in range(1_200):
        fleet.run(now_s, 8 + 1.6 * now_s / 60, monkeypatch)
    assert fleet.num_waiting_s == 0.0
    assert fleet.num_running >= 3


def test_noise_does_not_make_the_fleet_flap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a half and all of two replicas' slots every half minute, for an hour."""
    fleet = Fleet()
    for now_s in range(3_600):
        fleet.run(now_s, 32 if now_s % 60 < 30 else 16, monkeypatch)
    assert fleet.num_changes <= 3
    assert fleet.num_running >= 2


def test_fleet_shrinks_once_the_load_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet()
    for now_s in range(1_200):
        fleet.run(now_s, 90 if now_s < 400 else 0, monkeypatch)
        if now_s == 399:
            assert fleet.num_running == 8
        if now_s == 600:
            assert fleet.num_running == 8  # not before five minutes have passed
    assert fleet.num_running == 1


def test_fleet_shrinks_to_what_was_wanted_and_not_to_what_is_wanted_in_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From 90 slots to 48, of which every other second has four."""
    fleet = Fleet()
    for now_s in range(1_200):
        fleet.run(now_s, 90 if now_s < 400 else 48 if now_s % 2 else 4, monkeypatch)
        assert now_s < 400 or fleet.num_running >= 4
    assert fleet.num_running == 4


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ([9.0, 3.0, 3.0], [9.0, 3.0, 3.0]),
        ([2.0] * 7 + [5.0, 1.0, 1.0], [2.0] * 7 + [5.0, 5.0, 5.0]),  # the most of the fall
        ([6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 1.0, 1.0], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 1.0, 1.0]),  # an average's own fall
        ([2.0] * 7 + [8.5, 2.0], [2.0] * 7 + [8.5, 2.0]),  # all are wanted again: it begins anew
    ],
)
def test_what_is_told_while_fewer_are_wanted(wanted: list[float], told: list[float]) -> None:
    state: dict[str, Any] = {}
    found = []
    for now_s, each in enumerate(wanted):
        number, state = steadied(each, 9, state, float(now_s))
        found.append(number)
    assert found == told


def test_next_fall_begins_where_the_last_one_ended() -> None:
    number, state = steadied(1.0, 4, {FALLING_SINCE: 0.0, PEAK: 3.5}, 400.0)
    assert number == 1.0 and state[FALLING_SINCE] == 400.0


def _context(
    metrics: dict[str, dict[int, float]],
    num_running: int,
    num_target: int = 1,
    config: Any = None,
    state: dict[str, Any] | None = None,
    now_s: float = 1.0,
) -> SimpleNamespace:
    return SimpleNamespace(
        aggregated_metrics=metrics,
        total_running_requests=36.0,
        total_queued_requests=0.0,
        total_num_requests=36.0,
        current_num_replicas=num_running,
        target_num_replicas=num_target,
        policy_state=state or {},
        current_time=now_s,
        config=config,
    )
