"""`python -m loadtest …`: commands that start the real service, test it, print what they found, and stop it.

`plan` alone starts nothing: it simulates a fleet.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from loadtest.capacity.command import capacity
from loadtest.capacity.results import results
from loadtest.compare.command import compare
from loadtest.experiments.command import experiment
from loadtest.ingress_parts import part_lines
from loadtest.overload import Overload, OverloadOptions
from loadtest.overload_report import overload_checks, overload_json, overload_lines
from loadtest.planner.calibrate_command import calibrate
from loadtest.planner.command import plan
from loadtest.planner.measure_command import profile
from loadtest.scale_out import ScaleOptions, measure
from loadtest.scale_out_report import scale_checks, scale_json, scale_lines
from loadtest.server import RunningService, serving
from loadtest.sleeping import Plan
from loadtest.soak import Soak, SoakOptions
from loadtest.soak_report import soak_checks, soak_json, soak_lines
from loadtest.verdict import Check, may_be_the_machine
from serve_app.bench.machine import machine
from serve_app.errors import ServiceError
from serve_app.settings import Settings, make_settings

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Load tests of the service, on 127.0.0.1.")
app.command()(capacity)
app.command()(results)
app.command()(profile)
app.command()(calibrate)
app.command()(plan)
app.command()(compare)
app.command()(experiment)

Model = Annotated[str, typer.Option(help="as XTTS_MODEL; synthetic:tiny is fast")]
Modes = Annotated[str, typer.Option(help="how the service runs, with commas: local, ray")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="write what was found here too")]

SMALL_CACHE_BYTES = 512 * 1024  # of encoded voices: full in a minute, as the default is in a day


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(min=0.1, help="of traffic after the warm-up, for each mode")] = 20.0,
    modes: Modes = "local,ray",
    model: Model = "synthetic:tiny",
    rate: Annotated[float, typer.Option(min=0.0, help="requests a second; 0: 40 % of what a closed loop gets")] = 0.0,
    warm_up: Annotated[float, typer.Option(min=0.0, help="seconds of traffic before memory is read")] = 60.0,
    kill_every: Annotated[
        float | None, typer.Option(min=10.0, help="seconds between kills of the engine (Ray); 180, or two in all")
    ] = None,
    seed: Annotated[int, typer.Option(help="of the traffic")] = 1,
    json_file: JsonFile = None,
) -> None:
    """Mixed traffic, misuse, leavers and kills: all is answered as it must be, and nothing stays behind."""
    reports: dict[str, Any] = {}
    failed: list[Check] = []
    for mode in _modes(modes):
        options = SoakOptions(
            minutes=minutes,
            rate_hz=rate,
            warm_up_s=warm_up,
            kill_every_s=(kill_every or min(180.0, minutes * 60.0 / 2)) if mode == "ray" else None,
            seed=seed,
        )
        settings = _exact(model, voice_cache_bytes=SMALL_CACHE_BYTES)
        with _started(settings, mode) as service:
            record = asyncio.run(Soak(service, options, typer.echo).run())
        for line in soak_lines(record, options):
            typer.echo(line)
        reports[mode] = soak_json(record, options)
        failed += [check for check in soak_checks(record, options) if not check.is_ok]
    _finish(reports, failed, json_file)


@app.command()
def overload(
    seconds: Annotated[float, typer.Option(min=1.0, help="of the storm, for each mode")] = 60.0,
    factor: Annotated[float, typer.Option(min=1.5, help="times what the service can do")] = 4.0,
    modes: Modes = "local,ray",
    model: Model = "synthetic:tiny",
    slots: Annotated[int, typer.Option(min=1, help="as XTTS_MAX_SLOTS")] = 4,
    waiting: Annotated[int, typer.Option(min=1, help="as XTTS_MAX_WAITING")] = 8,
    new_voices: Annotated[float, typer.Option(min=0.0, max=1.0, help="share that brings a new recording")] = 0.0,
    tries: Annotated[int, typer.Option(min=1, help="of a mode in which only times fail: the machine may be busy")] = 1,
    seed: Annotated[int, typer.Option(help="of the traffic")] = 1,
    json_file: JsonFile = None,
) -> None:
    """More than the service can do: refusals come at once, and who is let in is served in time."""
    reports: dict[str, Any] = {}
    failed: list[Check] = []
    settings = _exact(model, max_slots=slots, max_waiting=waiting)
    for mode in _modes(modes):
        options = OverloadOptions(
            num_slots=slots,
            num_places=_num_places(settings, mode),
            first_audio_timeout_s=settings.first_audio_timeout_s,
            factor=factor,
            storm_s=seconds,
            new_voice_share=new_voices,
            seed=seed,
        )
        for tries_left in reversed(range(tries)):
            with _started(settings, mode) as service:
                record = asyncio.run(Overload(service, options, typer.echo).run())
            for line in overload_lines(record, options):
                typer.echo(line)
            checks = overload_checks(record, options)
            if not may_be_the_machine(checks):
                break
            typer.echo(f"\nonly times failed; tries left: {tries_left}")
        reports[mode] = overload_json(record, options)
        failed += [check for check in checks if not check.is_ok]
    _finish(reports, failed, json_file)


@app.command("scale-out")
def scale_out(
    replicas: Annotated[str, typer.Option(help="numbers of engine replicas, with commas")] = "1,2,4,8",
    slots: Annotated[int, typer.Option(min=2, help="of a replica")] = 8,
    ingresses: Annotated[int, typer.Option(min=1, help="as XTTS_NUM_INGRESS_REPLICAS")] = 1,
    seconds: Annotated[float, typer.Option(min=1.0, help="of each of two loads for each number")] = 40.0,
    first: Annotated[float, typer.Option(min=0.0, help="seconds an engine sleeps before the first audio")] = 0.5,
    period: Annotated[float, typer.Option(min=0.01, help="and before each later half second of audio")] = 1.0,
    chunks: Annotated[int, typer.Option(min=2, help="half seconds of audio of a request")] = 8,
    json_file: JsonFile = None,
) -> None:
    """The real application before engines that sleep: throughput by replicas, and what is added to their sleep."""
    options = ScaleOptions(_counts(replicas), slots, ingresses, seconds, Plan(first, period, chunks))
    with tempfile.TemporaryDirectory() as directory:
        levels = measure(options, Path(directory), typer.echo)
    for line in scale_lines(levels, options):
        typer.echo(line)
    failed = [check for check in scale_checks(levels) if not check.is_ok]
    _finish({"scale_out": scale_json(levels, options)}, failed, json_file)


@app.command("ingress-parts")
def ingress_parts() -> None:
    """What an ingress computes for half a second of audio, part by part, in this process and without Ray."""
    for line in part_lines():
        typer.echo(line)
    _finish({}, [], None)


@app.command("encoders")
def encoders() -> None:
    """What the effort of MP3's and Opus's encoders buys: time, bytes and sound, on a reading."""
    from loadtest.encoder_choices import choice_lines  # loads what judges sound

    for line in choice_lines():
        typer.echo(line)
    _finish({}, [], None)


def _counts(text: str) -> tuple[int, ...]:
    counts = [each.strip() for each in text.split(",")]
    if wrong := [each for each in counts if not each.isdecimal() or not int(each)]:
        raise typer.BadParameter(f"{wrong[0]!r} is no number above 0")
    return tuple(map(int, counts))


def _num_places(settings: Settings, mode: str) -> int:
    """Requests that may wait for a slot: with Ray those in an ingress's queue and those that an engine prepares."""
    if mode == "local":
        return settings.max_waiting
    from serve_app.deployment.application import engine_options  # loads Ray

    options = engine_options(settings)
    return int(options["max_queued_requests"] + options["max_ongoing_requests"] - settings.max_slots)


def _exact(model: str, **options: Any) -> Settings:
    """Fixed shapes in float32, so that the same seed gives the same bits; one thread, so that all fits on two cores."""
    return make_settings(model=model, dtype="float32", deterministic=True, num_threads=1, **options)


def _modes(text: str) -> Sequence[str]:
    modes = [each.strip() for each in text.split(",")]
    if unknown := [each for each in modes if each not in ("local", "ray")]:
        raise typer.BadParameter(f"{unknown[0]!r} is neither local nor ray")
    return modes


@contextmanager
def _started(settings: Settings, mode: str) -> Iterator[RunningService]:
    with tempfile.TemporaryDirectory() as directory:
        typer.echo(f"\n## {mode}, {settings.model}\n\nstarting")
        with serving(settings, Path(directory), is_ray=mode == "ray") as service:
            yield service


def _finish(reports: dict[str, Any], failed: Sequence[Check], json_file: Path | None) -> None:
    """Exit status 1 where a check failed."""
    on = machine()
    typer.echo(f"\nmeasured on {on['cpu']}, {on['cores']} cores shared by service and generator, {on['date']}")
    if json_file is not None:
        json_file.write_text(json.dumps({"machine": on, **reports}, indent=1) + "\n", encoding="utf-8")
    for check in failed:
        typer.echo(f"FAILED: {check.name}: {check.found}")
    raise typer.Exit(1 if failed else 0)


def main() -> None:
    """Runs the command line. An error of ours is one line on stderr and exit status 1."""
    try:
        app()
    except ServiceError as error:
        typer.secho(f"{error.code}: {error.message}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
