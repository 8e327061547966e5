"""Capacity tests as rows of a table: what the README says comes from here."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from loadtest.capacity.files import RESULT, load
from loadtest.capacity.run import CapacityRecord
from loadtest.capacity.summary import Loop, Summary, milliseconds
from loadtest.verdict import table

HEAD = ("model", "one at a time", "at the knee", "the most within the objective", "on")


def results(
    folder: Annotated[Path, typer.Argument(help="with a folder for each capacity test")] = Path("docs/capacity"),
) -> None:
    """Print the table of the capacity tests that a folder holds."""
    for line in result_lines(records_in(folder)):
        typer.echo(line)


def records_in(folder: Path) -> list[CapacityRecord]:
    """By name. Raises `typer.BadParameter` where there are none, and for files that are none."""
    try:
        found = [load(file.parent) for file in sorted(folder.glob(f"*/{RESULT}"))]
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    if not found:
        raise typer.BadParameter(f"{folder} holds no folder of a capacity test")
    return found


def result_lines(records: Iterable[CapacityRecord]) -> Iterator[str]:
    return table(HEAD, (list(_row(record)) for record in records))


def _row(record: CapacityRecord) -> Iterator[str]:
    yield str(record.facts.get("model"))
    one, at_knee, highest = record.summaries(Loop.CLOSED)[0], record.knee, record.highest
    yield f"{_speed(one)}, first audio {milliseconds(one.ttfa_s.p50)}"
    yield f"{at_knee.level:g} at once: {_speed(at_knee)}, first audio {milliseconds(at_knee.ttfa_s.p50)}"
    if highest is None:
        yield f"none of the rates tried kept {record.options.objective}"
    else:
        yield f"{highest.offered_hz:.3g} requests/s, {_speed(highest)}: {record.options.objective}"
    yield _where(record)


def _speed(summary: Summary) -> str:
    return f"{summary.audio_s_per_s:.1f} s of audio/s"


def _where(record: CapacityRecord) -> str:
    on = record.facts["generator"]
    assert isinstance(on, dict)
    shared = "generator included" if record.facts["shares its machine with the generator"] else "of the generator"
    return f"{on['gpu'] or on['cpu']}, {on['cores']} cores, {shared}, {on['date']}"
