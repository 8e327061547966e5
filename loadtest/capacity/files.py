"""A record as files: `result.json` with what is told, `requests.jsonl.gz` with each request. Both are read again."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loadtest.capacity.objective import Objective
from loadtest.capacity.run import CapacityOptions, CapacityRecord
from loadtest.capacity.summary import Loop, Stage, summarize
from loadtest.heard import Ending, Heard
from loadtest.watch import Reading

RESULT, REQUESTS = "result.json", "requests.jsonl.gz"
MOMENTS = ("intended_s", "sent_s", "first_audio_s", "ended_s")  # of a request; in files from its stage's window
DIGITS = 6  # of a second: the clock's own


def save(record: CapacityRecord, folder: Path) -> None:
    """Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    result = {
        "options": asdict(record.options),
        "facts": record.facts,
        "seconds": round(record.seconds, 1),
        "differences": record.differences,
        "stages": [_stage(stage) for stage in record.stages],
    }
    (folder / RESULT).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    with (folder / REQUESTS).open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped:
        for line in _requests(record):
            zipped.write(line.encode() + b"\n")


def load(folder: Path) -> CapacityRecord:
    """Raises `OSError`, and `ValueError` for files that are not of a capacity test."""
    try:
        result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        heard: list[list[Heard]] = [[] for _ in result["stages"]]
        with gzip.open(folder / REQUESTS, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                heard[row.pop("stage")].append(Heard(**{**row, "outcome": Ending(row["outcome"])}))
        options = result["options"]
        return CapacityRecord(
            CapacityOptions(**{**options, "objective": Objective(**options["objective"])}),
            result["facts"],
            [_read_stage(stage, heard[index]) for index, stage in enumerate(result["stages"])],
            result["differences"],
            result["seconds"],
        )
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{folder} holds no capacity test of this version: {error!r}") from error


def _stage(stage: Stage) -> dict[str, Any]:
    start_s, end_s = stage.window_s
    return {
        "loop": stage.loop,
        "level": stage.level,
        "window_s": end_s - start_s,
        "generator_cpu": round(stage.generator_cpu, 4),
        "summary": asdict(summarize(stage)),  # for readers; computed again when it is loaded
        "readings": [{"at_s": round(each.at_s - start_s, 3), **each.values} for each in stage.readings],
    }


def _read_stage(stage: dict[str, Any], heard: list[Heard]) -> Stage:
    readings = [Reading(each.pop("at_s"), each) for each in stage["readings"]]
    return Stage(Loop(stage["loop"]), stage["level"], (0.0, stage["window_s"]), heard, readings, stage["generator_cpu"])


def _requests(record: CapacityRecord) -> Iterator[str]:
    for index, stage in enumerate(record.stages):
        for each in stage.heard:
            row = asdict(each)
            for name in MOMENTS:
                if row[name] is not None:
                    row[name] = round(row[name] - stage.window_s[0], DIGITS)
            yield json.dumps({"stage": index, **row}, ensure_ascii=False)
