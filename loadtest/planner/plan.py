"""What the command does with what it was told: finds the fleets, lets a part of them fail, compares prices."""

from dataclasses import dataclass, replace

from loadtest.planner.money import BreakEven, Offer, break_even
from loadtest.planner.options import Failure
from loadtest.planner.outcome import Objective, Outcome
from loadtest.planner.profile import Profile
from loadtest.planner.search import Found, Log, Search, highest_rate_hz
from loadtest.planner.simulation import Scenario, simulate
from serve_app.errors import SettingsError

CALM_WINDOWS = 3
FAILURE_HEADROOM = 8  # times the fleet without a failure, up to which one that survives it is looked for


@dataclass(frozen=True)
class Asked:
    """`scenario.failures` are looked at after the fleets without them. `is_given`: its scaling is simulated as it is,
    and nothing is searched.
    """

    scenario: Scenario
    objective: Objective
    price_per_hour: float
    against: tuple[Profile, float] | None  # another profile, and its price
    is_given: bool
    seed: int


@dataclass(frozen=True)
class Struck:
    """A fleet in a failure. `recovered_s` after its beginning the objective holds again; None: not before the end."""

    name: str
    outcome: Outcome
    recovered_s: float | None


@dataclass(frozen=True)
class Plan:
    """`given`, or `fixed` and, where it is in time, `autoscaled`."""

    asked: Asked
    offer: Offer  # of one replica
    fleets: dict[str, Found]
    struck: tuple[Struck, ...]
    surviving: Found | None  # the least fixed fleet that keeps the objective in spite of the failures
    compared: BreakEven | None
    sampling_error: float | None  # of TTFA p95, where a part of the fleet was simulated: two seeds' difference, a share


def make_plan(asked: Asked, log: Log) -> Plan:
    """Raises `SettingsError` where no fleet keeps the objective."""
    offer = _offer(asked, asked.scenario.profile, asked.price_per_hour)
    log(f"one {offer.name} carries {offer.highest_rate_hz:.3g} requests/s within the objective")
    calm = replace(asked.scenario, failures=())
    fleets = _fleets(asked, calm, log)
    struck: tuple[Struck, ...] = ()
    surviving = None
    if asked.scenario.failures:
        struck = tuple(_struck(asked, name, found) for name, found in fleets.items())
        surviving = None if asked.is_given else _surviving(asked, fleets["fixed"], log)
    return Plan(asked, offer, fleets, struck, surviving, _compared(asked, offer), _sampling_error(asked, fleets))


def _fleets(asked: Asked, calm: Scenario, log: Log) -> dict[str, Found]:
    if asked.is_given:
        return {"given": Found(calm, simulate(calm, asked.seed), 1)}
    search = Search(calm, asked.objective, asked.seed, log)
    fixed = search.fixed()
    autoscaled = search.autoscaled(fixed)
    return {"fixed": fixed} | ({"autoscaled": autoscaled} if autoscaled is not None else {})


def _struck(asked: Asked, name: str, found: Found) -> Struck:
    outcome = simulate(replace(found.scenario, failures=asked.scenario.failures), asked.seed)
    return Struck(name, outcome, recovery_s(outcome, asked.objective, asked.scenario.failures[0]))


def recovery_s(outcome: Outcome, objective: Objective, failure: Failure, window_s: float = 60.0) -> float | None:
    """From the failure until the objective holds for `CALM_WINDOWS` minutes in a row, or longer parts where a minute
    has few requests: a bad one much later is chance. None where it does not before the end.
    """
    after = [each for each in outcome.windows(window_s) if each.end_s > failure.at_s]
    num_calm = 0
    for index, each in enumerate(after):
        keeps = each.figures.keeps_times(objective) and each.figures.error_share <= objective.max_error_share
        num_calm = num_calm + 1 if keeps else 0
        if num_calm == CALM_WINDOWS:
            return max(0.0, after[index + 1 - CALM_WINDOWS].start_s - failure.at_s)
    return None


def _surviving(asked: Asked, fixed: Found, log: Log) -> Found | None:
    log("with the failure:")
    try:
        search = Search(asked.scenario, asked.objective, asked.seed, log)
        return search.fixed(fixed.scaling.max_replicas * FAILURE_HEADROOM)
    except SettingsError:
        return None


def _offer(asked: Asked, profile: Profile, price: float) -> Offer:
    scenario = replace(asked.scenario, profile=profile)
    return Offer(profile.name, highest_rate_hz(scenario, asked.objective, asked.seed), price)


def _compared(asked: Asked, offer: Offer) -> BreakEven | None:
    if asked.against is None:
        return None
    other = _offer(asked, *asked.against)
    if not (offer.highest_rate_hz and other.highest_rate_hz):
        return None
    return break_even(offer, other)


def _sampling_error(asked: Asked, fleets: dict[str, Found]) -> float | None:
    found = next(iter(fleets.values()))
    if found.scenario.share == 1.0:
        return None
    first = found.outcome.figures.ttfa_p95_s
    second = simulate(found.scenario, asked.seed + 1).figures.ttfa_p95_s
    return abs(second - first) / first
