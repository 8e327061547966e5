"""The command `plan`. What it needs is loaded when it runs, so that other commands start without it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.errors import SettingsError

if TYPE_CHECKING:
    from loadtest.planner.options import Failure, Scaling
    from loadtest.planner.plan import Plan
    from loadtest.planner.traffic import Curve

Assume = Annotated[Path | None, typer.Option(help="JSON: workload, objective, cluster, failures, delays, policy")]
Traffic = Annotated[Path | None, typer.Option(help="CSV or JSON of seconds and requests a second")]
Shape = Annotated[str, typer.Option(help="without --traffic: constant, daily (a day's sine) or spike (after a third)")]
Rate = Annotated[float, typer.Option(min=0.0, help="requests a second: the mean of a day; before and after a spike")]
Peak = Annotated[float | None, typer.Option(min=0.0, help="requests a second at most; left out: twice the rate")]
Minutes = Annotated[float, typer.Option(min=1.0, help="of constant traffic, or with a spike of a sixth of them")]
Price = Annotated[float, typer.Option(min=0.0, help="an hour of a replica's node")]
Against = Annotated[Path | None, typer.Option(help="profile of another machine: from which traffic on it pays")]
AgainstPrice = Annotated[float, typer.Option(min=0.0, help="an hour of its node")]
Replicas = Annotated[str, typer.Option(help="a fleet to look at, as 4 or 2-10, in place of looking for one")]
Lose = Annotated[float, typer.Option(min=0.0, max=1.0, help="share of the replicas that fail with their region")]
Exact = Annotated[int, typer.Option(min=8, help="replicas simulated; of a larger fleet so many stand for all")]
Seed = Annotated[int, typer.Option(help="of traffic and routing")]
Out = Annotated[Path | None, typer.Option(help="directory for plan.json, values.yaml and pictures")]


def plan(
    profile: Annotated[Path, typer.Argument(help="JSON of a replica's measured times (docs/capacity.md)")],
    assume: Assume = None,
    traffic: Traffic = None,
    shape: Shape = "constant",
    rate: Rate = 1.0,
    peak: Peak = None,
    minutes: Minutes = 60.0,
    price: Price = 0.0,
    against: Against = None,
    against_price: AgainstPrice = 0.0,
    replicas: Replicas = "",
    lose: Lose = 0.0,
    exact: Exact = 200,
    seed: Seed = 1,
    out: Out = None,
) -> None:
    """Find the least fleet for a traffic by simulation: replicas, cost, what a failure does (docs/capacity.md)."""
    from loadtest.planner.assumptions import Assumptions, load_model
    from loadtest.planner.plan import Asked, make_plan
    from loadtest.planner.profile import Profile
    from loadtest.planner.simulation import Scenario

    try:
        assumed = Assumptions() if assume is None else load_model(Assumptions, assume, "assumptions")
        curve = _curve(traffic, shape, rate, peak, minutes * 60.0)
        scenario = Scenario(
            load_model(Profile, profile, "a profile"),
            curve,
            assumed.workload,
            _scaling(replicas, assumed.upscale_delay_s, assumed.downscale_delay_s, assumed.policy),
            assumed.cluster,
            (*assumed.failures, *_region(lose, curve)),
            most_simulated=exact,
        )
        other = None if against is None else (load_model(Profile, against, "a profile"), against_price)
        asked = Asked(scenario, assumed.objective, price, other, bool(replicas), seed)
        _tell(make_plan(asked, lambda line: typer.echo(line, err=True)), out)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def _curve(file: Path | None, shape: str, rate: float, peak: float | None, duration_s: float) -> "Curve":
    from loadtest.planner import traffic

    highest = 2.0 * rate if peak is None else peak
    if file is not None:
        return traffic.load_curve(file)
    match shape:
        case "constant":
            return traffic.constant(rate, duration_s)
        case "daily":
            return traffic.daily(rate, highest)
        case "spike":
            return traffic.spike(rate, highest, duration_s / 3.0, duration_s / 6.0, duration_s)
    raise SettingsError(f"{shape!r} is no shape of traffic: it is constant, daily or spike")


def _scaling(text: str, upscale_delay_s: float, downscale_delay_s: float, policy: str) -> "Scaling":
    from loadtest.planner.options import Scaling

    least, _, most = (text or "1").partition("-")
    if not (least.isdecimal() and (most or least).isdecimal()):
        raise SettingsError(f"{text!r} is no fleet: write 4, or 2-10")
    return Scaling(int(least), int(most or least), upscale_delay_s, downscale_delay_s, policy)  # type: ignore[arg-type]


def _region(share: float, curve: "Curve") -> "tuple[Failure, ...]":
    """Half way."""
    from loadtest.planner.options import Failure

    return (Failure(curve.duration_s / 2.0, share),) if share else ()


def _tell(plan: "Plan", out: Path | None) -> None:
    from loadtest.planner.chart_values import as_yaml
    from loadtest.planner.plots import plot_outcome
    from loadtest.planner.report import plan_json, plan_lines

    for line in plan_lines(plan):
        typer.echo(line)
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    found, asked = plan_json(plan), plan.asked
    (out / "plan.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (out / "values.yaml").write_text(as_yaml(found["values"]), encoding="utf-8")
    runs = {name: fleet.outcome for name, fleet in plan.fleets.items()}
    runs |= {f"{struck.name}-failure": struck.outcome for struck in plan.struck}
    for name, outcome in runs.items():
        title = f"{asked.scenario.profile.name}, {name}"
        plot_outcome(outcome, asked.scenario.curve, asked.objective, title, out / f"{name}.png")
