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

    def fixed(self) -> Found:
        """The least number of replicas that never changes."""
        low = self._floor()
        number = _least(low, self._doubled(low, self._keeps_fixed), self._keeps_fixed)
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
        most = _least(needed, most, lambda count: count == most or self._keeps(least, count))
        found = self._confirmed(
            least,
            lambda count: replace(self._scaling, min_replicas=min(count, most), max_replicas=most),
            last=most,
        )
        return found if self.objective and found.outcome.keeps(self.objective) else None

    @property
    def _scaling(self) -> Scaling:
        return self.scenario.scaling

    def _floor(self) -> int:
        """Fewer could not speak the traffic's busiest moment, even with full slots and nothing else to do."""
        audio_s = self.scenario.curve.mean_hz * self.scenario.workload.mean_audio_s()
        return max(1, floor(0.5 * audio_s / audio_s_per_s(self.scenario.profile)))

    def _doubled(self, low: int, keeps: Keeps) -> int:
        number = max(2, low)
        while not keeps(number):
            if number >= MAX_REPLICAS:
                raise SettingsError(f"{MAX_REPLICAS} replicas do not keep the objective: relax it, or look at one alone")
            number = min(MAX_REPLICAS, number * 2)
        return number

    def _keeps_fixed(self, number: int) -> bool:
        return self._keeps(number, number)

    def _keeps(self, least: int, most: int) -> bool:
        scaling = replace(self._scaling, min_replicas=least, max_replicas=most)
        scenario = replace(self.scenario, scaling=scaling, most_simulated=SEARCHED_REPLICAS)
        outcome = self._run(scenario)
        self._say(scaling, outcome)
        return outcome.keeps(self.objective)

    def _confirmed(self, number: int, scaling_of: Callable[[int], Scaling], last: int = MAX_REPLICAS) -> Found:
        """The fleet simulated as exactly as the scenario asks; a little larger where that shows it too small."""
        while True:
            scenario = replace(self.scenario, scaling=scaling_of(number))
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
            f"{figures.stalled_share:.1%} stalled, {figures.error_share:.2%} errors; {outcome.wall_s:.1f} s)"
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
