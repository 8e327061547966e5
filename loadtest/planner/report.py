"""A plan as lines of Markdown and as JSON. Every number comes from a run of the simulation, or from the profile."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from loadtest.planner.chart_values import as_yaml, chart_values
from loadtest.planner.money import cost, cost_per_audio_hour, requests_a_day
from loadtest.planner.outcome import Outcome
from loadtest.planner.plan import Plan
from loadtest.planner.profile import rtf_at
from loadtest.planner.request import Ending
from loadtest.planner.search import Found
from loadtest.verdict import table
from serve_app.deployment.autoscaling import TARGET_LOAD

HEAD = ("fleet", "replicas", "TTFA p95 s", "worst window", "RTF p95", "stalled", "errors", "node-hours", "cost")
HOUR_S = 3_600.0


def plan_lines(plan: Plan) -> Iterator[str]:
    asked, profile = plan.asked, plan.asked.scenario.profile
    curve, measured = asked.scenario.curve, profile.measured
    yield f"## {profile.name}: {measured.machine}, {measured.version}, {measured.date}"
    yield ""
    yield (
        f"{curve.duration_s / HOUR_S:.3g} hours of traffic, {curve.mean_hz:.3g} requests/s on average and "
        f"{curve.peak_hz:.3g} at most, {asked.scenario.workload.mean_audio_s():.1f} s of speech each."
    )
    yield ""
    yield from table(HEAD, [_row(plan, name, found.outcome) for name, found in _all_fleets(plan)])
    yield ""
    yield from _one_replica(plan)
    for name, found in _all_fleets(plan):
        yield from _movement(name, found)
    if (over := overshoot(plan)) is not None:
        yield f"Overshoot: {over:.2f} times the fixed fleet were wanted at most."
    yield from _failure_lines(plan)
    yield from _break_even_lines(plan)
    yield from _effort(plan)
    yield ""
    yield f"Values for helm/xtts-serve ({_chosen(plan)[0]}; ongoing requests aimed at: {_target(plan):g} a replica):"
    yield ""
    yield as_yaml(chart_values(profile, _chosen(plan)[1].scaling, asked.scenario.cluster)).rstrip()


def _all_fleets(plan: Plan) -> list[tuple[str, Found]]:
    surviving = [("fixed, with the failure", plan.surviving)] if plan.surviving is not None else []
    return [*plan.fleets.items(), *surviving]


def _chosen(plan: Plan) -> tuple[str, Found]:
    """The cheapest fleet found; where one was to survive a failure, that one."""
    if plan.surviving is not None:
        return "fixed, with the failure", plan.surviving
    return min(plan.fleets.items(), key=lambda each: each[1].outcome.paid_s)


def _target(plan: Plan) -> float:
    return max(1.0, TARGET_LOAD * plan.asked.scenario.profile.slots)


def _row(plan: Plan, name: str, outcome: Outcome) -> list[str]:
    figures, worst = outcome.figures, outcome.worst(plan.asked.objective).figures
    running = outcome.timeline.column("running")
    return [
        name,
        f"{running.min():.0f} to {running.max():.0f}",
        f"{figures.ttfa_p95_s:.2f}",
        f"{worst.ttfa_p95_s:.2f}",
        f"{figures.rtf_p95:.2f}",
        f"{figures.stalled_share:.1%}",
        f"{figures.error_share:.2%}",
        f"{outcome.paid_s / HOUR_S:.1f}",
        _money(plan, outcome),
    ]


def _money(plan: Plan, outcome: Outcome) -> str:
    price = plan.asked.price_per_hour
    if not price:
        return "no price given"
    return f"{cost(outcome, price):.2f}, {cost_per_audio_hour(outcome, price):.3f} an hour of audio"


def _one_replica(plan: Plan) -> Iterator[str]:
    rate_hz = plan.offer.highest_rate_hz
    yield f"One replica carries {rate_hz:.3g} requests/s within the objective: {requests_a_day(rate_hz):,.0f} a day."
    aimed = min(plan.asked.scenario.profile.slots, round(_target(plan)))
    yield (
        f"With {aimed} sentences at once, which autoscaling aims at, each takes "
        f"{rtf_at(plan.asked.scenario.profile, aimed):.2f} s for a second of audio, newcomers left out."
    )
    if "fixed" in plan.fleets and "autoscaled" not in plan.fleets:
        yield "No autoscaled fleet that begins smaller is in time: its replicas come too late."


def _movement(name: str, found: Found) -> Iterator[str]:
    """How an autoscaled fleet moved, and by how much it overshot what a fixed one would have been."""
    if found.scaling.is_fixed:
        return
    timeline = found.outcome.timeline
    wanted, running = timeline.column("wanted"), timeline.column("running")
    changes = int((wanted[1:] != wanted[:-1]).sum())
    yield (
        f"{name}: {running.mean():.1f} replicas ran on average, {wanted.max():.0f} were wanted at most and "
        f"{running.max():.0f} ran, after {changes} decisions."
    )


def overshoot(plan: Plan) -> float | None:
    """Replicas that an autoscaled fleet wanted at most, by those of the fixed one that does as well."""
    if not {"fixed", "autoscaled"} <= set(plan.fleets):
        return None
    wanted = plan.fleets["autoscaled"].outcome.timeline.column("wanted").max()
    return float(wanted) / plan.fleets["fixed"].scaling.max_replicas


def _failure_lines(plan: Plan) -> Iterator[str]:
    for failure in plan.asked.scenario.failures:
        yield ""
        yield (
            f"At {failure.at_s:.0f} s {failure.share:.0%} of the replicas are lost"
            + (f" and the traffic becomes {failure.traffic:g} times as much" if failure.traffic != 1.0 else "")
            + ("." if failure.are_nodes_to_be_had else ", for good.")
        )
    for struck in plan.struck:
        figures = struck.outcome.figures
        recovery = "not before the end" if struck.recovered_s is None else f"after {struck.recovered_s:.0f} s"
        yield (
            f"{struck.name}: {figures.error_share:.2%} errors ({struck.outcome.num_of(Ending.LOST)} cut, "
            f"{struck.outcome.num_of(Ending.REFUSED)} refused), TTFA p95 {figures.ttfa_p95_s:.2f} s; the objective "
            f"holds again {recovery}."
        )
    if plan.struck and plan.surviving is None and not plan.asked.is_given:
        yield "No fixed fleet keeps the objective through it: what is cut or refused meanwhile is too much."


def _break_even_lines(plan: Plan) -> Iterator[str]:
    if plan.asked.against is not None and plan.compared is None:
        yield "One of the two profiles carries nothing within the objective: there is no break-even."
    if (found := plan.compared) is None:
        return
    cheaper, other = found.cheaper, found.other
    yield (
        f"{cheaper.name} carries {cheaper.highest_rate_hz:.3g} requests/s for {cheaper.price_per_hour:g} an hour, "
        f"{other.name} {other.highest_rate_hz:.3g} for {other.price_per_hour:g}."
    )
    if found.rate_hz is None:
        yield "A request costs the same on both."
    elif found.rate_hz == 0.0:
        yield f"{cheaper.name} is cheaper at any traffic."
    else:
        yield f"Break-even: above {found.rate_hz:.3g} requests/s {cheaper.name} is always cheaper."


def _effort(plan: Plan) -> Iterator[str]:
    """What it cost to simulate, and how much of the fleet was."""
    name, found = next(iter(plan.fleets.items()))
    outcome, size = found.outcome, found.scaling.max_replicas
    simulated = min(size, found.scenario.most_simulated)
    yield ""
    yield (
        f"Simulated: {simulated} of {size} replicas ({name}), {outcome.num_events:,} events, {outcome.cpu_s:.1f} s; "
        f"at this load an hour of 100 replicas takes {seconds_of_100_replica_hours(found):.0f} s."
    )
    if plan.sampling_error is not None:
        yield f"A part was simulated for all: another seed's TTFA p95 is {plan.sampling_error:.1%} away."


def seconds_of_100_replica_hours(found: Found) -> float:
    """What an hour of 100 such replicas would take to simulate, all of them, on this machine now."""
    simulated = found.outcome.timeline.column("running").mean() * found.outcome.share
    return float(found.outcome.cpu_s * 100.0 / max(simulated, 1.0) * HOUR_S / found.outcome.duration_s)


def plan_json(plan: Plan) -> dict[str, Any]:
    """All that was asked and found, the fleet over time by the minute. Numbers that do not exist are null."""
    asked = plan.asked
    scenario, price = asked.scenario, asked.price_per_hour
    fleets = {name: _fleet_json(plan, found) for name, found in _all_fleets(plan)}
    found: dict[str, Any] = {
        "profile": scenario.profile.model_dump(mode="json"),
        "traffic": {
            "seconds": scenario.curve.times_s.tolist(),
            "requests_per_second": scenario.curve.rates_hz.tolist(),
        },
        "workload": asdict(scenario.workload),
        "cluster": asdict(scenario.cluster),
        "objective": asdict(asked.objective),
        "failures": [asdict(failure) for failure in scenario.failures],
        "price_per_hour": price,
        "seed": asked.seed,
        "one_replica": {
            "highest_rate_hz": plan.offer.highest_rate_hz,
            "requests_a_day": requests_a_day(plan.offer.highest_rate_hz),
        },
        "fleets": fleets,
        "overshoot": overshoot(plan),
        "struck": {
            each.name: {"recovered_s": each.recovered_s, **_outcome_json(plan, each.outcome)} for each in plan.struck
        },
        "break_even": None if plan.compared is None else asdict(plan.compared),
        "sampling_error": plan.sampling_error,
        "target_ongoing_requests": _target(plan),
        "values": chart_values(scenario.profile, _chosen(plan)[1].scaling, scenario.cluster),
    }
    without_nan: dict[str, Any] = _without_nan(found)
    return without_nan


def _fleet_json(plan: Plan, found: Found) -> dict[str, Any]:
    return {
        "scaling": asdict(found.scaling),
        "initial_replicas": found.scenario.initial_replicas,
        "num_runs": found.num_runs,
        **_outcome_json(plan, found.outcome),
    }


def _outcome_json(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    worst = outcome.worst(plan.asked.objective)
    return {
        "keeps_objective": outcome.keeps(plan.asked.objective),
        "all": asdict(outcome.figures),
        "worst_window": asdict(worst),
        "endings": {ending.name.lower(): outcome.num_of(ending) for ending in Ending},
        "share_simulated": outcome.share,
        "node_hours": outcome.paid_s / HOUR_S,
        "cost": cost(outcome, plan.asked.price_per_hour),
        "cost_per_audio_hour": cost_per_audio_hour(outcome, plan.asked.price_per_hour),
        "audio_hours": outcome.audio_s / HOUR_S,
        "num_events": outcome.num_events,
        "cpu_s": outcome.cpu_s,
        "timeline": {"names": outcome.timeline.NAMES, "rows": outcome.timeline.rows[::60]},
    }


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
