"""`compare`, as the command line offers it."""

import asyncio
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

HEAR = "judge what each peer said alone: words, sound, voice (packages of the group `ears`)"


def compare(
    peers: Annotated[
        str, typer.Option(help="with commas: ours, coqui, piper, melo, or NAME=URL[=VOICE] of a server")
    ] = "ours,coqui",
    model: Annotated[str, typer.Option(help="of ours and coqui, as XTTS_MODEL")] = "synthetic:full",
    at_once: Annotated[str, typer.Option(help="requests at once, with commas")] = "1,4,16",
    rounds: Annotated[int, typer.Option(min=1, help="of each peer at each number")] = 2,
    texts: Annotated[int, typer.Option(min=1, help="of a round, or as many as at once if that is more")] = 8,
    languages: Annotated[str, typer.Option(help="of the texts, with commas")] = "en",
    hear: Annotated[bool, typer.Option(help=HEAR)] = False,
    ray: Annotated[bool, typer.Option("--ray/--local", help="how ours is started")] = False,
    python: Annotated[str | None, typer.Option(help="interpreter that has Piper or MeloTTS installed")] = None,
    piper_voice: Annotated[Path | None, typer.Option(help="a voice of Piper's, beside its .json")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write what was found here too")] = None,
    seed: Annotated[int, typer.Option(help="of the texts")] = 1,
) -> None:
    """Our service beside others: the same texts, on this machine, by turns in one run."""
    import sys

    from loadtest.compare import report
    from loadtest.compare.peer import PeerOptions, running
    from loadtest.compare.run import CompareOptions
    from loadtest.compare.run import compare as run_comparison
    from loadtest.quality import Judges, judge_beside_each_other, quality_table
    from serve_app.bench.machine import machine
    from serve_app.settings import make_settings

    try:
        levels = tuple(int(each) for each in at_once.split(","))
        options = CompareOptions(levels, rounds, texts, tuple(languages.split(",")), seed=seed)
    except (ValueError, AssertionError) as error:
        raise typer.BadParameter("numbers of requests at once, as 1,4,16", param_hint="--at-once") from error
    judges = Judges() if hear else None  # before the measuring: it may be missing
    started = PeerOptions(make_settings(model=model), ray, python or sys.executable, piper_voice)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        chosen = [stack.enter_context(running(name, started, folder)) for name in peers.split(",")]
        found = asyncio.run(run_comparison(chosen, options, typer.echo))
    on = machine()
    where = on["gpu"] or f"{on['cpu']}, {on['cores']} cores"
    typer.echo(f"\n{model} on {where}, torch {on['torch']}, {on['date']}; medians of {rounds} rounds in turn\n")
    qualities = None
    if judges is not None:
        spoken = {each.name: found.first_take(each.name) for each in chosen}
        qualities = judge_beside_each_other(spoken, judges)
    for line in report.speed_table(found):
        typer.echo(line)
    if qualities is not None:
        typer.echo("")
        for line in quality_table(qualities, len(found.first_take(chosen[0].name))):
            typer.echo(line)
    if json_file is not None:
        told = {"machine": on, "model": model, **report.to_json(found, qualities)}
        json_file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if any(each.why for turns in found.rounds.values() for turn in turns for each in turn.spoken):
        raise typer.Exit(1)
