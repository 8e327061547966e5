"""The least fleet that keeps the objective: fixed, and autoscaled. More replicas are taken to be never worse."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, floor

from loadtest.planner.options import Scaling
from loadtest.planner.outcome import Objective, Outcome
from loadtest.planner.profile import audio_s_per_s
from loadtest.planner.simulation import Scenario, simulate
from loadtest.planner.traffic import constant
from serve_app.errors import SettingsError

SEARCHED_REPLICAS = 24  # simulated while searching; what is found is then confirmed by as many as the scenario allows
LEAST_SIMULATED = 4  # replicas that stand for `min_replicas`, where so many are simulated at all
MAX_REPLICAS = 10_000
HEADROOM = 1.5  # the autoscaled fleet may grow to so many times the fixed one
RATE_DURATION_S = 900.0
RATE_STEPS = 7  # of halving the interval in which the highest rate lies

Log = Callable[[str], None]
Keeps = Callable[[int], bool]


@dataclass(frozen=True)
class Found:
    """A fleet and its run. `runs` are those made to find it."""

    scenario: Scenario
    outcome: Outcome
    num_runs: int

    @property
    def scaling(self) -> Scaling:
        return self.scenario.scaling


@dataclass
class Search:
    """Runs scenarios with one seed, so that fleets meet the same traffic."""

    scenario: Scenario  # its scaling gives delays and policy alone
    objective: Objective
    seed: int
    log: Log
    num_runs: int = 0

    def fixed(self, most: int = MAX_REPLICAS) -> Found:
        """The least number of replicas that never changes. Raises `SettingsError` where `most` are too few."""
        low, high = self._bracket(most)
        number = _least(low, high, self._keeps_fixed)
        return self._confirmed(number, lambda count: replace(self._scaling, min_replicas=count, max_replicas=count))

    def autoscaled(self, fixed: Found) -> Found | None:
        """The least `min_replicas` with which Serve's autoscaling is in time, and then the least `max_replicas`. None
        where only the fixed fleet is.
        """
        needed = fixed.scaling.max_replicas
        most = max(needed + 1, ceil(needed * HEADROOM))
        least = _least(1, needed, lambda count: count == needed or self._keeps(count, most))
        if least == needed:
            return None
        highest = _least(needed, most, lambda count: count == most or self._keeps(least, count))
        found = self._confirmed(
            least,
            lambda count: replace(self._scaling, min_replicas=count, max_replicas=max(count, highest)),
            last=needed,
        )
        return found if found.outcome.keeps(self.objective) else None

    @property
    def _scaling(self) -> Scaling:
        return self.scenario.scaling

    def _bracket(self, most: int) -> tuple[int, int]:
        """A number below which no fleet keeps the objective, and one that does."""
        busy_s = self.scenario.curve.peak_hz * self.scenario.workload.mean_audio_s()
        low, number = 1, max(1, floor(busy_s / audio_s_per_s(self.scenario.profile)))
        while not self._keeps_fixed(min(number, most)):
            if number >= most:
                raise SettingsError(
                    f"{most} replicas do not keep the objective: relax it, or look at one replica alone"
                )
            low, number = number + 1, number * 2
        return low, min(number, most)

    def _keeps_fixed(self, number: int) -> bool:
        return self._keeps(number, number)

    def _keeps(self, least: int, most: int) -> bool:
        scaling = replace(self._scaling, min_replicas=least, max_replicas=most)
        simulated = min(self.scenario.most_simulated, max(SEARCHED_REPLICAS, ceil(LEAST_SIMULATED * most / least)))
        outcome = self._run(replace(self._with(scaling), most_simulated=simulated))
        self._say(scaling, outcome)
        return outcome.keeps(self.objective)

    def _with(self, scaling: Scaling) -> Scenario:
        """An autoscaled fleet begins with its part of what the peak needs."""
        curve = self.scenario.curve
        initial = ceil(scaling.max_replicas / HEADROOM * curve.rate_hz(0.0) / max(curve.peak_hz, 1e-9))
        return replace(
            self.scenario,
            scaling=scaling,
            initial_replicas=min(scaling.max_replicas, max(scaling.min_replicas, initial)),
        )

    def _confirmed(self, number: int, scaling_of: Callable[[int], Scaling], last: int = MAX_REPLICAS) -> Found:
        """The fleet simulated as exactly as the scenario asks; a little larger where that shows it too small."""
        while True:
            scenario = self._with(scaling_of(number))
            outcome = self._run(scenario)
            if outcome.keeps(self.objective) or number >= last:
                return Found(scenario, outcome, self.num_runs)
            self._say(scenario.scaling, outcome)
            number = min(last, number + max(1, number // 50))

    def _run(self, scenario: Scenario) -> Outcome:
        self.num_runs += 1
        return simulate(scenario, self.seed)

    def _say(self, scaling: Scaling, outcome: Outcome) -> None:
        figures = outcome.figures
        size = f"{scaling.min_replicas}" + ("" if scaling.is_fixed else f" to {scaling.max_replicas}")
        verdict = "keeps the objective" if outcome.keeps(self.objective) else "does not"
        self.log(
            f"{size} replicas: {verdict} (TTFA p95 {figures.ttfa_p95_s:.2f} s, RTF p95 {figures.rtf_p95:.2f}, "
            f"{figures.stalled_share:.1%} stalled, {figures.error_share:.2%} errors; {outcome.cpu_s:.1f} s)"
        )


def _least(low: int, high: int, keeps: Keeps) -> int:
    """The least number from `low` to `high` that keeps; `high` does."""
    while low < high:
        middle = (low + high) // 2
        if keeps(middle):
            high = middle
        else:
            low = middle + 1
    return high


def highest_rate_hz(scenario: Scenario, objective: Objective, seed: int = 1) -> float:
    """Requests a second that one replica carries within the objective, within a hundredth or so; 0 where it keeps it
    for none.
    """
    audio_s = scenario.workload.mean_audio_s()
    low, high = 0.0, audio_s_per_s(scenario.profile) / audio_s
    for _ in range(RATE_STEPS):
        middle = (low + high) / 2.0
        alone = replace(
            scenario,
            curve=constant(middle, RATE_DURATION_S),
            scaling=Scaling.fixed(1),
            failures=(),
            initial_replicas=None,
        )
        if simulate(alone, seed).keeps(objective):
            low = middle
        else:
            high = middle
    return low
