"""What HTTP and Ray cost: one service in a process alone, behind HTTP, and behind HTTP and Ray, by turns in one run.

All sides speak the same texts with the same seeds, and their samples are counted. Knows sides by what they answered.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from serve_app.bench.machine import machine
from serve_app.bench.process_tree import PssWatch
from serve_app.bench.sides import InProcess, Load, Outcome, OverHttp, ServiceSide, SpeechJob
from serve_app.bench.workload import texts_in
from serve_app.model.config import SAMPLE_RATE_HZ
from serve_app.settings import Settings

Echo = Callable[[str], None]
ALONE = "alone"  # what the others are held against
MAKERS: Mapping[str, Callable[[Settings], ServiceSide]] = {
    "local": lambda settings: OverHttp(settings, is_ray=False),
    "ray": lambda settings: OverHttp(settings, is_ray=True),
}
MODES = {"stream": True, "whole": False}
SETTINGS = ("device", "dtype", "quantization", "num_threads", "max_chunk_s")
MIN_JOBS = 2  # of a round: one text alone says little
MEMORY_LEVEL = 8
IDLE_S = 5.0


@dataclass(frozen=True)
class ServiceBenchOptions:
    """What to measure. `sides` are those held against the service alone."""

    levels: tuple[int, ...] = (1, 4, 16)
    sides: tuple[str, ...] = ("local", "ray")
    num_rounds: int = 3
    num_probes: int = 6  # requests of a round, one after another, left at their first audio

    @property
    def num_jobs(self) -> int:
        return max(*self.levels, MIN_JOBS, MEMORY_LEVEL)

    def __post_init__(self) -> None:
        assert self.levels and self.num_rounds > 0 and self.num_probes > 0
        assert self.sides and all(name in MAKERS for name in self.sides)


@dataclass(frozen=True)
class Run:
    """One side's outcome of one load, and the CPU seconds it took, of each group of its processes and of the client."""

    outcome: Outcome
    cpu_s: dict[str, float]

    @property
    def audio_s(self) -> float:
        return self.outcome.num_samples / SAMPLE_RATE_HZ

    @property
    def audio_s_per_s(self) -> float:
        return self.audio_s / self.outcome.wall_s


Runs = dict[str, list[Run]]  # side → a run a round


def run_service_bench(settings: Settings, options: ServiceBenchOptions, json_file: Path | None, echo: Echo) -> None:
    """Starts the sides, measures, prints tables as Markdown, writes them as JSON where asked, stops the sides."""
    with ExitStack() as stack:
        echo(f"starting {ALONE}: {settings.model}")
        alone = InProcess(settings)
        stack.callback(alone.close)
        sides: dict[str, ServiceSide] = {ALONE: alone}
        for name in options.sides:
            echo(f"starting {name}: {settings.model}")
            sides[name] = MAKERS[name](settings)
            stack.callback(sides[name].close)
        report = {
            "machine": machine(),
            "model": settings.model,
            "settings": {name: getattr(settings, name) for name in SETTINGS},
            "options": asdict(options),
            **_measure(sides, _jobs(texts_in(alone.languages), options.num_jobs), options, echo),
        }
    for line in _lines(report):
        echo(line)
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _measure(
    sides: Mapping[str, ServiceSide], jobs: Sequence[SpeechJob], options: ServiceBenchOptions, echo: Echo
) -> dict[str, Any]:
    for is_streaming in MODES.values():
        for side in sides.values():
            side.run(Load(tuple(jobs[:2]), 2, is_streaming))
    probes = _in_turn(sides, Load((jobs[0],) * options.num_probes, is_probe=True), options.num_rounds)
    ttfa = {name: _ttfa(runs, probes[ALONE]) for name, runs in probes.items()}
    for name, row in ttfa.items():
        echo(f"first audio, {name}: {row['ttfa_ms']:.0f} ms")
    rows = []
    for level in options.levels:
        for mode, is_streaming in MODES.items():
            load = Load(tuple(jobs[: max(level, MIN_JOBS)]), level, is_streaming)
            runs = _in_turn(sides, load, options.num_rounds)
            rows.append({"mode": mode, "concurrency": level, **_row(runs)})
            speeds = ", ".join(f"{name} {rows[-1][name]['audio_s_per_s']:.2f}" for name in sides)
            echo(f"{level} at once, {mode}: {speeds} audio s/s")
    return {"rows": rows, "ttfa": ttfa, "idle_cpu": _idle_cpu(sides), "engine_pss_bytes": _engine_pss(sides, jobs)}


def _jobs(texts: Sequence[tuple[str, str]], num: int) -> tuple[SpeechJob, ...]:
    """`num` jobs that say the texts, each (language, text), again and again with other seeds."""
    chosen = (texts[index % len(texts)] for index in range(num))
    return tuple(SpeechJob(text, language, seed) for seed, (language, text) in enumerate(chosen))


def _in_turn(sides: Mapping[str, ServiceSide], load: Load, num_rounds: int) -> Runs:
    """Each side's runs. Who begins changes with the round."""
    runs: Runs = {name: [] for name in sides}
    names = list(sides)
    for number in range(num_rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            runs[name].append(_counted(sides[name], load))
    return runs


def _counted(side: ServiceSide, load: Load) -> Run:
    before, client_s = side.tree.cpu_s(), time.process_time()
    outcome = side.run(load)
    client_s = time.process_time() - client_s
    return Run(outcome, {**_difference(side.tree.cpu_s(), before), "client": client_s})


def _difference(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {group: max(0.0, seconds - before.get(group, 0.0)) for group, seconds in after.items()}


def _row(runs: Runs) -> dict[str, Any]:
    """Medians of a level, and whether all sides made the same audio in every round."""
    counts = {tuple(each.num_samples for each in run.outcome.spoken) for side in runs.values() for run in side}
    return {"is_same_work": len(counts) == 1, **{name: _summary(side, runs[ALONE]) for name, side in runs.items()}}


def _summary(runs: list[Run], alone: list[Run]) -> dict[str, Any]:
    pairs = zip(runs, alone, strict=True)
    return {
        "audio_s_per_s": median(run.audio_s_per_s for run in runs),
        "ratio": median(run.audio_s_per_s / base.audio_s_per_s for run, base in pairs),
        "ttfa_ms": 1e3 * median(each.first_audio_s for run in runs for each in run.outcome.spoken),
        "largest_gap_ms": 1e3 * median(max(each.largest_gap_s for each in run.outcome.spoken) for run in runs),
        "num_samples": runs[-1].outcome.num_samples,
        "cpu_s_per_audio_s": {
            group: median(run.cpu_s.get(group, 0.0) / run.audio_s for run in runs) for group in runs[-1].cpu_s
        },
    }


def _ttfa(runs: list[Run], alone: list[Run]) -> dict[str, float]:
    """Of a request alone, in milliseconds; `added_ms` is the median difference from the engine's in the same round."""
    added = [
        mine.first_audio_s - theirs.first_audio_s
        for run, base in zip(runs, alone, strict=True)
        for mine, theirs in zip(run.outcome.spoken, base.outcome.spoken, strict=True)
    ]
    firsts = [each.first_audio_s for run in runs for each in run.outcome.spoken]
    return {"ttfa_ms": 1e3 * median(firsts), "fastest_ms": 1e3 * min(firsts), "added_ms": 1e3 * median(added)}


def _idle_cpu(sides: Mapping[str, ServiceSide]) -> dict[str, float]:
    """What each side takes of a core while nobody speaks."""
    before = {name: side.tree.cpu_s() for name, side in sides.items()}
    time.sleep(IDLE_S)
    return {name: sum(_difference(side.tree.cpu_s(), before[name]).values()) / IDLE_S for name, side in sides.items()}


def _engine_pss(sides: Mapping[str, ServiceSide], jobs: Sequence[SpeechJob]) -> dict[str, int]:
    """The most the engine's process held while it spoke `MEMORY_LEVEL` requests at once."""
    load = Load(tuple(jobs[:MEMORY_LEVEL]), MEMORY_LEVEL)
    peaks = {}
    for name, side in sides.items():
        with PssWatch(side.tree) as watch:
            side.run(load)
        peaks[name] = watch.peak_bytes
    return peaks


# -- the report --------------------------------------------------------------------------------------------------------


def _lines(report: dict[str, Any]) -> Iterator[str]:
    names, at = report["options"]["sides"], report["machine"]
    chosen = ", ".join(f"{name} {value}" for name, value in report["settings"].items())
    yield (
        f"\n{report['model']} ({chosen}) on {at['gpu'] or at['cpu']}, {at['cores']} cores, torch {at['torch']}, "
        f"{at['date']}; medians of {report['options']['num_rounds']} rounds in turn. 'alone' is the service in a "
        "process by itself; the client of the others runs beside them and shares their cores.\n"
    )
    yield from _table(
        ["mode", "at once", "alone, audio s/s", *(f"{name}{what}" for name in names for what in ("", " / alone"))],
        ([row["mode"], str(row["concurrency"]), *_speed_cells(row, names)] for row in report["rows"]),
    )
    yield ""
    yield from _table(
        ["largest gap in a stream, ms", "at once", ALONE, *names],
        (
            [
                str(row["mode"]),
                str(row["concurrency"]),
                *(f"{row[name]['largest_gap_ms']:.0f}" for name in (ALONE, *names)),
            ]
            for row in report["rows"]
            if MODES[row["mode"]]
        ),
    )
    yield ""
    yield from _table(
        ["CPU s per s of audio", "at once", ALONE, *names],
        (
            [row["mode"], str(row["concurrency"]), *(_cpu_cell(row[name]) for name in (ALONE, *names))]
            for row in report["rows"]
        ),
    )
    yield ""
    yield from _table(
        ["side", "first audio ms", "fastest", "added", "idle, of a core", "engine PSS MB"], _sides(report)
    )
    if not all(row["is_same_work"] for row in report["rows"]):
        yield "\nThe sides did not make the same number of samples: near-ties fell differently, or something is wrong."


def _table(head: list[str], rows: Iterator[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + " --- |" * len(head)
    for cells in rows:
        yield f"| {' | '.join(cells)} |"


def _speed_cells(row: dict[str, Any], names: list[str]) -> Iterator[str]:
    yield f"{row[ALONE]['audio_s_per_s']:.2f}"
    for name in names:
        yield f"{row[name]['audio_s_per_s']:.2f}"
        yield f"{row[name]['ratio']:.0%}"


def _cpu_cell(side: dict[str, Any]) -> str:
    groups = side["cpu_s_per_audio_s"]
    return ", ".join(f"{group} {seconds:.3f}" for group, seconds in groups.items() if seconds >= 0.0005)


def _sides(report: dict[str, Any]) -> Iterator[list[str]]:
    for name, ttfa in report["ttfa"].items():
        yield [
            name,
            *(f"{ttfa[key]:.0f}" for key in ("ttfa_ms", "fastest_ms", "added_ms")),
            f"{report['idle_cpu'][name]:.1%}",
            f"{report['engine_pss_bytes'][name] / 1e6:.0f}",
        ]
