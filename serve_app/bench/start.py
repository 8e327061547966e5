"""How long a start takes: the model's load alone, and from the command to the first audio over HTTP."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx2

from serve_app.bench.machine import machine
from serve_app.bench.serve_process import ServeProcess
from serve_app.bench.sides import SPEECH_ROUTE, WAV_HEADER_BYTES, InProcess
from serve_app.bench.workload import texts_in
from serve_app.errors import ServiceError
from serve_app.settings import Settings

KINDS = {"serve --local": False, "serve": True}  # command → whether Ray runs it

Echo = Callable[[str], None]


@dataclass(frozen=True)
class Start:
    """Seconds since the command, of one start."""

    ready_s: float
    first_audio_s: float


def run_start_bench(settings: Settings, num_rounds: int, json_file: Path | None, echo: Echo) -> None:
    """Starts and stops the service again and again, and prints a table of medians as Markdown."""
    loads_s: list[float] = []
    starts: dict[str, list[Start]] = {name: [] for name in KINDS}
    for number in range(num_rounds):
        alone = InProcess(settings)
        alone.close()
        loads_s.append(alone.load_s)
        language, text = texts_in(alone.languages)[0]
        for name, mine in starts.items():
            mine.append(_start(settings, KINDS[name], {"input": text, "language": language, "response_format": "wav"}))
            echo(f"round {number + 1}, {name}: first audio {mine[-1].first_audio_s:.1f} s after the command")
    report: dict[str, Any] = {
        "machine": machine(),
        "model": settings.model,
        "load_s": median(loads_s),
        "starts": {
            name: {key: median(getattr(each, key) for each in mine) for key in ("ready_s", "first_audio_s")}
            for name, mine in starts.items()
        },
    }
    for line in table(report):
        echo(line)
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _start(settings: Settings, is_ray: bool, body: dict[str, str]) -> Start:
    started_s = time.monotonic()
    process = ServeProcess(settings, is_ray=is_ray)
    try:
        ready_s = time.monotonic() - started_s
        with (
            httpx2.Client(base_url=process.url, timeout=60.0, trust_env=False) as client,
            client.stream("POST", SPEECH_ROUTE, json=body) as answer,
        ):
            num_bytes = 0
            for block in answer.iter_raw():
                num_bytes += len(block)
                if num_bytes > WAV_HEADER_BYTES:
                    break
            if answer.status_code != 200 or num_bytes <= WAV_HEADER_BYTES:
                raise ServiceError(f"a request of the bench was answered with {answer.status_code} and no audio")
            return Start(ready_s, time.monotonic() - started_s)
    finally:
        process.close()


def table(report: dict[str, Any]) -> list[str]:
    at = report["machine"]
    lines = [
        f"{report['model']} on {at['gpu'] or at['cpu']}, {at['cores']} cores, {at['date']}: seconds since the command",
        "",
        "| command | ready | first audio |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {row['ready_s']:.1f} | {row['first_audio_s']:.1f} |" for name, row in report["starts"].items()
    ]
    alone = f"The model's load alone, with its warm-up and without Python's imports: {report['load_s']:.2f} s."
    return [*lines, "", alone]
