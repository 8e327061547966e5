"""The bench: rounds in turn, medians, a table. Knows sides only by what they measured."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from serve_app.bench.formats import format_settings
from serve_app.bench.machine import machine
from serve_app.bench.measure import Measurement
from serve_app.bench.worker import COQUI, Worker
from serve_app.bench.workload import utterances
from serve_app.settings import Settings

Echo = Callable[[str], None]
COLUMNS = (
    "| format | at once | audio s/s | coqui | ratio | codes/s | coqui | TTFA ms | coqui "
    "| GPT s | vocoder s | peak MB | PSS MB | coqui |"
)


@dataclass(frozen=True)
class BenchOptions:
    """What to measure. `formats` are names of `format_settings`."""

    levels: tuple[int, ...] = (1, 4, 16, 32)
    formats: tuple[str, ...] = ("auto",)
    num_rounds: int = 3
    median_codes: int = 96
    num_coqui_requests: int = 4  # of a level, 0 for all: one after another, each takes as long as the others

    def __post_init__(self) -> None:
        assert self.levels and self.formats and self.num_rounds > 0


def run_bench(settings: Settings, options: BenchOptions, json_file: Path | None, echo: Echo) -> None:
    """Measures, prints the table as Markdown and writes it as JSON where asked."""
    echo(f"loading {settings.model} once for coqui-tts and once for each of: {', '.join(options.formats)}")
    num_slots = settings.max_slots or max(options.levels)
    workers = {COQUI: Worker(COQUI, settings, num_slots)}
    for name in options.formats:
        workers[name] = Worker(name, format_settings(settings, name), num_slots)
    try:
        rows = _measure(workers, options, echo)
    finally:
        for worker in workers.values():
            worker.close()
    report = {"machine": machine(), "model": settings.model, "options": options.__dict__, "rows": rows}
    for line in (_describe(report), "", COLUMNS, "|" + "---|" * (COLUMNS.count("|") - 1), *map(_table_row, rows)):
        echo(line)
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _measure(workers: dict[str, Worker], options: BenchOptions, echo: Echo) -> list[dict[str, Any]]:
    rows = []
    warm = utterances(2, 24)
    for name, worker in workers.items():
        echo(f"warming up {name} ({worker.device})")
        worker.run(warm)
    for level in options.levels:
        jobs = utterances(level, options.median_codes)
        rounds: dict[str, list[tuple[Measurement, int]]] = {name: [] for name in workers}
        for number in range(options.num_rounds):
            for name, worker in workers.items():
                sampled = options.num_coqui_requests if name == COQUI else 0
                rounds[name].append(worker.run(jobs, sampled))
                speed = rounds[name][-1][0].audio_s_per_s
                echo(f"{level} at once, round {number + 1} of {options.num_rounds}, {name}: {speed:.2f} audio s/s")
        coqui = _medians(rounds[COQUI])
        for name in options.formats:
            ours = _medians(rounds[name])
            ratio = median(
                mine.audio_s_per_s / theirs.audio_s_per_s
                for (mine, _), (theirs, _) in zip(rounds[name], rounds[COQUI], strict=True)
            )
            rows.append(
                {"concurrency": level, "format": workers[name].device, "ours": ours, "coqui": coqui, "ratio": ratio}
            )
    return sorted(rows, key=lambda row: [worker.device for worker in workers.values()].index(row["format"]))


def _medians(rounds: list[tuple[Measurement, int]]) -> dict[str, float]:
    measured = [measurement for measurement, _ in rounds]
    return {
        "audio_s_per_s": median(each.audio_s_per_s for each in measured),
        "codes_per_s": median(each.codes_per_s for each in measured),
        "ttfa_ms": median(1e3 * median(each.ttfa_s) for each in measured),
        "gpt_s": median(each.gpt_s for each in measured),
        "vocoder_s": median(each.vocoder_s for each in measured),
        "wall_s": median(each.wall_s for each in measured),
        "peak_memory_bytes": max(each.peak_memory_bytes for each in measured),
        "pss_bytes": max(pss for _, pss in rounds),
    }


def _describe(report: dict[str, Any]) -> str:
    machine, options = report["machine"], report["options"]
    sampled = options["num_coqui_requests"]
    return (
        f"\n{report['model']} on {machine['gpu'] or machine['cpu']}, {machine['cores']} cores, "
        f"torch {machine['torch']}, {machine['date']}; medians of {options['num_rounds']} rounds in turn, "
        f"{options['median_codes']} codes a text. coqui-tts is float32 and runs one request after another"
        + (f" ({sampled} of each level, the rest reckoned by their mean)." if sampled else ".")
    )


def _table_row(row: dict[str, Any]) -> str:
    ours, coqui = row["ours"], row["coqui"]
    cells = [
        row["format"],
        str(row["concurrency"]),
        *(f"{side['audio_s_per_s']:.2f}" for side in (ours, coqui)),
        f"{row['ratio']:.1f}×",
        *(f"{side['codes_per_s']:.0f}" for side in (ours, coqui)),
        *(f"{side['ttfa_ms']:.0f}" for side in (ours, coqui)),
        f"{ours['gpt_s']:.2f}",
        f"{ours['vocoder_s']:.2f}",
        *(f"{ours[key] / 1e6:.0f}" for key in ("peak_memory_bytes", "pss_bytes")),
        f"{coqui['peak_memory_bytes'] / 1e6:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"
