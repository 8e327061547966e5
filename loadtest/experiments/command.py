"""`experiment`, as the command line offers it."""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

NAMES = "text-length, speed, reference-length, engine or device"


def experiment(
    name: Annotated[str, typer.Argument(help=NAMES)],
    model: Annotated[str, typer.Option(help="as XTTS_MODEL")] = "mini",
    repeats: Annotated[int, typer.Option(min=1, help="of each variant")] = 5,
    hear: Annotated[bool, typer.Option(help="judge what was said (packages of the group `ears`)")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write what was found here too")] = None,
) -> None:
    """Varies one thing and measures what it changes, on a service started here."""
    from loadtest.experiments import report
    from loadtest.experiments.questions import EXPERIMENTS
    from loadtest.experiments.run import run_experiment
    from loadtest.quality import Judges
    from serve_app.bench.machine import machine
    from serve_app.settings import make_settings

    if name not in EXPERIMENTS:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(EXPERIMENTS)}")
    judges = Judges() if hear else None  # before the measuring: it may be missing
    with tempfile.TemporaryDirectory() as folder:
        variants = EXPERIMENTS[name].variants()
        results = run_experiment(variants, make_settings(model=model), repeats, Path(folder), typer.echo)
    judgements = None if judges is None else report.judged(results, judges)
    on = machine()
    where = on["gpu"] or f"{on['cpu']}, {on['cores']} cores"
    typer.echo(f"\n{EXPERIMENTS[name].question}\n\n{model} on {where}, torch {on['torch']}, {on['date']}\n")
    for line in report.lines(results, judgements):
        typer.echo(line)
    if json_file is not None:
        told = {"machine": on, "model": model, "experiment": name, "results": report.to_json(results, judgements)}
        json_file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
