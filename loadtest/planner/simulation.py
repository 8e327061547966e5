"""One run: traffic through router and replicas, with what fails meanwhile, and what came of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

from loadtest.planner.autoscaler import Autoscaler
from loadtest.planner.events import Events, without_garbage_collection
from loadtest.planner.fleet import Fleet
from loadtest.planner.options import Cluster, Failure, Scaling, ServeOptions
from loadtest.planner.outcome import Outcome, Records, Timeline
from loadtest.planner.profile import Profile
from loadtest.planner.request import Ending, Request
from loadtest.planner.router import Router
from loadtest.planner.traffic import Curve, Floats
from loadtest.planner.workload import Asked, Workload

TICK_S = 1.0  # of reports and decisions. Serve decides ten times a second, on reports that come once
LONGEST_REST_S = 900.0  # after the traffic's end, in which what runs may end
EXACT_REPLICAS = 200


@dataclass(frozen=True)
class Scenario:
    """All that decides a run besides the seed. `most_simulated`: of a larger fleet only so many replicas are, with as
    large a part of the traffic.
    """

    profile: Profile
    curve: Curve
    workload: Workload
    scaling: Scaling
    cluster: Cluster = field(default_factory=Cluster)
    failures: tuple[Failure, ...] = ()
    initial_replicas: int | None = None  # None: the least
    most_simulated: int = EXACT_REPLICAS

    @property
    def share(self) -> float:
        """The part of the fleet that is simulated."""
        return min(1.0, self.most_simulated / self.scaling.max_replicas)


@dataclass
class Simulation:
    """Use `simulate`."""

    scenario: Scenario
    seed: int
    trace: Sequence[Request] = ()
    num_at_once: int = 0
    records: Records = field(default_factory=Records)

    def __post_init__(self) -> None:
        scenario, share = self.scenario, self.scenario.share
        options = ServeOptions.of(scenario.profile, scenario.scaling, scenario.cluster)
        self.events = Events()
        self.fleet = Fleet(
            scenario.profile,
            self.events,
            self._on_end,
            self._on_lost,
            scenario.cluster.node_start_s,
            scenario.cluster.node_idle_s,
        )
        self.router = Router(
            self.events,
            self.fleet.running,
            max_ongoing=options.max_ongoing,
            max_queued=max(1, round(options.max_queued * share)),
            timeout_s=scenario.profile.first_audio_timeout_s,
            rng=Random(self.seed),
            on_end=self._on_end,
        )
        initial = scenario.initial_replicas or scenario.scaling.min_replicas
        self.fleet.begin(max(1, round(initial * share)))
        self.autoscaler = Autoscaler(options.autoscaling, scenario.profile.slots, initial, share)
        self.timeline = Timeline(1.0 / share)

    def run(self) -> Outcome:
        started_s = time.process_time()
        curve = self._curve()
        self._plan_arrivals(curve)
        for failure in self.scenario.failures:
            self.events.at(failure.at_s, self._fail, failure)
        self.events.at(0.0, self._tick)
        self.events.run(curve.duration_s)
        paid_s = self.fleet.paid_s(curve.duration_s)
        until_s, deadline_s = curve.duration_s, curve.duration_s + LONGEST_REST_S
        while self.records.num_over < self.num_asked and until_s < deadline_s:
            until_s += TICK_S
            self.events.run(until_s)
        return Outcome(
            self.records.tables(),
            self.timeline,
            duration_s=curve.duration_s,
            share=self.scenario.share,
            paid_s=paid_s / self.scenario.share,
            num_unfinished=self.num_asked - self.records.num_over,
            num_events=self.events.num_done,
            cpu_s=time.process_time() - started_s,
        )

    def _curve(self) -> Curve:
        curve = self.scenario.curve.scaled(self.scenario.share)
        for failure in self.scenario.failures:
            if failure.traffic != 1.0 and failure.at_s < curve.duration_s:
                curve = curve.scaled_from(failure.at_s, failure.traffic)
        return curve

    def _plan_arrivals(self, curve: Curve) -> None:
        if self.trace:
            self.num_asked, self._left = len(self.trace), iter(self.trace[self.num_at_once :])
            for request in self.trace[: self.num_at_once or None]:
                self.events.at(request.sent_s, self.router.route, request)
            return
        rng = np.random.default_rng(self.seed)
        times_s = curve.arrivals_s(rng)
        self.num_asked = len(times_s)
        self._arrivals: tuple[Floats, Asked] = times_s, self.scenario.workload.draw(len(times_s), rng)
        self._shapes: dict[int, tuple[int, int, int]] = {}
        if self.num_asked:
            self.events.at(float(times_s[0]), self._arrive, 0)

    def _arrive(self, index: int) -> None:
        times_s, asked = self._arrivals
        if index + 1 < self.num_asked:
            self.events.at(float(times_s[index + 1]), self._arrive, index + 1)
        num_chars = int(asked.num_chars[index])
        shape = self._shapes.get(num_chars)
        if shape is None:
            shape = self._shapes[num_chars] = self.scenario.workload.sentences(num_chars, self.scenario.profile)
        request = Request(
            self.events.now_s,
            shape,
            is_cold=bool(asked.is_cold[index]),
            is_streamed=bool(asked.is_streamed[index]),
        )
        self.router.route(request)

    def _on_end(self, request: Request, ending: Ending) -> None:
        self.records.add(request, ending)
        if self.num_at_once and (following := next(self._left, None)) is not None:
            following.sent_s = self.events.now_s
            self.router.route(following)

    def _on_lost(self, request: Request) -> None:
        """The ingress sends a request anew, once, whose replica died before anything of it was heard."""
        request.num_losses += 1
        if request.is_heard or request.num_losses > 1:
            self.records.add(request, Ending.LOST)
            return
        request.begin()
        self.router.route_again(request)

    def _fail(self, failure: Failure) -> None:
        if not failure.are_nodes_to_be_had:
            self.fleet.forbid_new_nodes()
        self.fleet.lose(round(failure.share * len(self.fleet.running)), with_nodes=failure.takes_nodes)

    def _tick(self, _: Any) -> None:
        fleet, now_s = self.fleet, self.events.now_s
        target = self.autoscaler.target
        if not self.scenario.scaling.is_fixed:
            target = self.autoscaler.tick(now_s, fleet.running, self.router.num_queued)
            fleet.aim(max(1, round(target * self.scenario.share)))
        self.timeline.add(now_s, target, fleet, self.router.num_queued)
        self.events.at(now_s + TICK_S, self._tick)


def simulate(scenario: Scenario, seed: int = 1, trace: Sequence[Request] = (), num_at_once: int = 0) -> Outcome:
    """The same scenario and seed give the same outcome, bit for bit, but for the time it took.

    `trace`: requests that come in place of the scenario's traffic, each when it was sent; or, with `num_at_once`, so
    many first, and each of the others when one before it has ended.
    """
    with without_garbage_collection():
        return Simulation(scenario, seed, trace, num_at_once).run()
