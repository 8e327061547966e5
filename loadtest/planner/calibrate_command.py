"""`calibrate`, as the command line offers it."""

import asyncio
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from loadtest.planner.calibrate import CalibrationOptions
    from loadtest.planner.calibration import Run
    from serve_app.settings import Settings

RUN, PROFILE, ASSUMPTIONS = "calibration.json", "profile.json", "assume.json"


def calibrate(
    profile: Annotated[Path, typer.Argument(help="JSON of this machine's measured times, from `profile`")],
    model: Annotated[str | None, typer.Option(help="as XTTS_MODEL: what the profile was measured with")] = None,
    shares: Annotated[str, typer.Option(help="loads, of what all slots together do")] = "0.3,0.5,0.7",
    seconds: Annotated[float, typer.Option(min=1.0, help="of each load")] = 120.0,
    workload: Annotated[str, typer.Option(help="traffic: chat, narration or mixed")] = "chat",
    seed: Annotated[int, typer.Option(help="of the traffic")] = 1,
    recorded: Annotated[
        Path | None, typer.Option(help=f"{RUN} of an earlier run to hold this profile against: nothing is started")
    ] = None,
    out: Annotated[Path, typer.Option(help=f"directory for {PROFILE}, {ASSUMPTIONS} and {RUN}")] = Path(
        "build/calibration"
    ),
) -> None:
    """Hold the simulation against the service itself: the same requests at three loads, measured and simulated.

    Writes the profile with the slowdown of its parts in the whole service, which is found where all slots are taken.
    """
    from loadtest.planner.assumptions import load_model
    from loadtest.planner.calibrate import CalibrationOptions
    from loadtest.planner.calibration import assumed_workload, checks, compared, fitted, lines
    from loadtest.planner.profile import Profile
    from loadtest.workload.presets import PRESETS
    from serve_app.settings import make_settings

    if workload not in PRESETS:
        raise typer.BadParameter(f"{workload!r} is none of {', '.join(PRESETS)}", param_hint="--workload")
    levels, timed = _shares(shares), load_model(Profile, profile, "a profile")
    out.mkdir(parents=True, exist_ok=True)
    if recorded is None:
        options = CalibrationOptions(levels, seconds, timed.slots, workload, seed)
        settings = make_settings(model=model, max_slots=timed.slots)
        run = _recorded_now(options, settings, out / RUN)
    else:
        run = _recorded_earlier(recorded)
    timed = fitted(timed, run)
    typer.echo(f"in the service its parts take {timed.slowdown:.2f} times what they take alone\n")
    comparisons = compared(timed, run.loads)
    for line in lines(comparisons):
        typer.echo(line)
    (out / PROFILE).write_text(timed.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")
    (out / ASSUMPTIONS).write_text(json.dumps({"workload": assumed_workload(run)}) + "\n", encoding="utf-8")
    failed = [check for check in checks(comparisons) if not check.is_ok]
    for check in failed:
        typer.echo(f"FAILED: {check.name}: {check.found}")
    raise typer.Exit(1 if failed else 0)


def _recorded_now(options: "CalibrationOptions", settings: "Settings", file: Path) -> "Run":
    from loadtest.planner.calibrate import Calibration
    from loadtest.recordings import has_reading, new_recording
    from loadtest.server import serving
    from loadtest.target import OwnTarget
    from serve_app.bench.machine import machine

    typer.echo(f"starting {settings.model}")
    record = new_recording if has_reading() else None
    with tempfile.TemporaryDirectory() as folder, serving(settings, Path(folder), is_ray=False) as service:
        run = asyncio.run(Calibration(OwnTarget(service), options, typer.echo, record).run())
    found: dict[str, Any] = {"machine": machine(), "model": settings.model, "options": asdict(options), **asdict(run)}
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return run


def _recorded_earlier(file: Path) -> "Run":
    from loadtest.planner.calibration import read_run

    try:
        return read_run(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file} is no recorded run: {error}", param_hint="--recorded") from error


def _shares(text: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(each) for each in text.split(","))
    except ValueError:
        shares = ()
    if not shares or not all(0.0 < share < 1.0 for share in shares):
        raise typer.BadParameter(f"{text!r} is no list of shares as 0.3,0.5", param_hint="--shares")
    return shares
