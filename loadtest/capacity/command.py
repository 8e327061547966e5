"""`capacity`, as the command line offers it. Imports little: what it needs is loaded when its options are right."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from loadtest.target import Target
    from loadtest.workload.workload import MakeRecording

KEY_VARIABLE = "XTTS_API_KEY"


def capacity(
    out: Annotated[Path, typer.Option(help="folder for the page, the figures and each request")] = Path(
        "build/capacity"
    ),
    url: Annotated[str | None, typer.Option(help="a service to test; left out: one is started here")] = None,
    metrics_url: Annotated[str | None, typer.Option(help="where Prometheus reads that service, to look inside")] = None,
    model: Annotated[str | None, typer.Option(help="of the service that is started, as XTTS_MODEL")] = None,
    ray: Annotated[bool, typer.Option("--ray/--local", help="how it is started")] = False,
    workload: Annotated[str, typer.Option(help="traffic: chat, narration or mixed")] = "chat",
    first_audio: Annotated[float, typer.Option(min=0.001, help="objective: seconds to the first audio, p95")] = 0.5,
    rtf: Annotated[float, typer.Option(min=0.001, help="objective: real-time factor, p95, below this")] = 1.0,
    not_served: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="objective: share of requests, below this")
    ] = 0.001,
    seconds: Annotated[float, typer.Option(min=1.0, help="of each load, after some to settle")] = 30.0,
    max_at_once: Annotated[int, typer.Option(min=1, help="where the sweep ends at the latest")] = 64,
    tries: Annotated[int, typer.Option(min=1, help="rates tried in search of the highest")] = 8,
    recording: Annotated[Path | None, typer.Option(help="WAV, mono, 16 bit: the speaker whom clients clone")] = None,
    exact: Annotated[
        bool, typer.Option(help="start it deterministic, and hold sampled audio against itself alone")
    ] = False,
    against: Annotated[Path | None, typer.Option(help="folder of an earlier run to compare with")] = None,
    seed: Annotated[int, typer.Option(help="of the traffic")] = 1,
) -> None:
    """What one service carries: throughput by requests at once, the highest rate within an objective, a page of it.

    A service behind API keys gets the one in XTTS_API_KEY.
    """
    from loadtest.workload.presets import PRESETS

    if workload not in PRESETS:
        raise typer.BadParameter(f"{workload!r} is none of {', '.join(PRESETS)}", param_hint="--workload")
    if url and (model or ray or exact):
        raise typer.BadParameter("a service that stands already has its model and mode", param_hint="--url")
    from loadtest.capacity.files import load, save
    from loadtest.capacity.objective import Objective
    from loadtest.capacity.page import page
    from loadtest.capacity.run import Capacity, CapacityOptions

    earlier = None
    if against is not None:
        try:
            earlier = load(against)
        except (OSError, ValueError) as error:
            raise typer.BadParameter(str(error), param_hint="--against") from error
    options = CapacityOptions(
        workload=workload,
        objective=Objective(first_audio, rtf, not_served),
        max_at_once=max_at_once,
        max_tries=tries,
        stage_s=seconds,
        settle_s=min(5.0, seconds / 4.0),
        is_exact=exact,
        seed=seed,
    )
    record_voice = _recorder(recording)
    if record_voice is None:
        typer.echo("nobody brings a voice to clone: name one with --recording")
    with _target(url, metrics_url, model, is_ray=ray, is_exact=exact) as target:
        record = asyncio.run(Capacity(target, options, typer.echo, record_voice).run())
    save(record, out)
    (out / "report.html").write_text(page(record, earlier), encoding="utf-8")
    highest = record.highest
    told = f"{highest.offered_hz:.3g} requests a second" if highest else "none of the rates tried"
    typer.echo(f"highest rate that keeps {options.objective}: {told}\nwritten: {out / 'report.html'}")
    if record.differences:
        typer.echo("\n".join(("audio that is not its own:", *record.differences)))
        raise typer.Exit(1)


def _recorder(recording: Path | None) -> "MakeRecording | None":
    """By default of a reader whose recording comes with the test requirements, where they are installed."""
    from loadtest.recordings import has_reading, new_recording
    from loadtest.workload.recording import Recorder

    if recording is None:
        return new_recording if has_reading() else None
    try:
        return Recorder(recording.read_bytes())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--recording") from error


@contextmanager
def _target(
    url: str | None, metrics_url: str | None, model: str | None, *, is_ray: bool, is_exact: bool
) -> "Iterator[Target]":
    from loadtest.server import serving
    from loadtest.target import OwnTarget, RemoteTarget, parse_address
    from serve_app.settings import make_settings

    if url is not None:
        key = os.environ.get(KEY_VARIABLE)
        try:
            addresses = parse_address(url), None if metrics_url is None else parse_address(metrics_url)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        yield RemoteTarget(addresses[0], {"authorization": f"Bearer {key}"} if key else {}, addresses[1])
        return
    asked: dict[str, object] = {} if model is None else {"model": model}
    settings = make_settings(**asked, **({"deterministic": True} if is_exact else {}))
    typer.echo(f"starting {settings.model}")
    with tempfile.TemporaryDirectory() as folder, serving(settings, Path(folder), is_ray=is_ray) as service:
        yield OwnTarget(service)
