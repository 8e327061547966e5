"""The pictures of a capacity test, as SVG that stands in a page by itself."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from loadtest.capacity.run import CapacityRecord
from loadtest.capacity.search import knee
from loadtest.capacity.summary import Loop, Stage, Summary
from loadtest.watch import BATCH, CPU

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "xtts",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.25,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "legend.frameon": False,
}
SIZE = (7.2, 3.2)  # inches
P50, P95, P99, LIMIT = "#3b6fb6", "#c2571a", "#7b3294", "#a01818"
TAIL = (0.0, 0.5, 0.9, 0.99, 0.999)  # of a plot of percentiles
EARLIER: dict[str, Any] = {"alpha": 0.35, "linestyle": "--"}
NOW: dict[str, Any] = {"marker": "o"}


@dataclass(frozen=True)
class Plot:
    title: str
    caption: str
    svg: str


def plots(record: CapacityRecord, earlier: CapacityRecord | None = None) -> Iterator[Plot]:
    """Those there is something to show for. `earlier`: another run, drawn faintly behind."""
    closed, opened = record.summaries(Loop.CLOSED), record.summaries(Loop.OPEN)
    old_closed = earlier.summaries(Loop.CLOSED) if earlier else []
    old_opened = earlier.summaries(Loop.OPEN) if earlier else []
    with mpl.rc_context(STYLE):
        yield Plot(
            "Throughput",
            "Seconds of audio a second, by requests at once (each sent when the one before it is over). The "
            "dotted line is the knee: more at once gains less than a tenth.",
            _throughput(closed, old_closed),
        )
        yield Plot(
            "First audio by requests at once",
            "What a listener waits while so many others are served.",
            _latency(closed, old_closed, "requests at once", None),
        )
        if opened:
            limit_s = record.options.objective.ttfa_p95_s
            yield Plot(
                "First audio by rate",
                "Arrivals at random that wait for nobody, timed from when each was to be sent, so that a queue "
                "is felt. The line is the objective.",
                _latency(opened, old_opened, "requests a second", limit_s),
            )
            yield Plot(
                "Keeping up",
                "95 of 100 streams were made faster: at 1 as fast as they are spoken, above it listeners wait.",
                _rtf(opened, record.options.objective.rtf_p95),
            )
        yield Plot(
            "Percentiles of the first audio",
            "How long all but the slowest wait; the further right, the rarer. A line that turns up steeply is a queue.",
            _percentiles(_telling(record)),
        )
        stage = _telling(record)[-1]
        if stage.readings:
            yield Plot(
                f"Inside the service at {stage.name}",
                "Sentences in slots and waiting for one, rows decoded together in a step, and cores in use, as it ran.",
                _inside(stage),
            )


def _telling(record: CapacityRecord) -> list[Stage]:
    """One at once, the knee, and the highest rate that was kept: the stages to look into."""
    closed = [stage for stage in record.stages if stage.loop is Loop.CLOSED]
    levels = list(dict.fromkeys((closed[0].level, record.knee.level)))
    found = [stage for stage in closed if stage.level in levels]
    highest = record.highest
    return [
        *found,
        *(each for each in record.stages if highest and each.loop is Loop.OPEN and each.level == highest.level),
    ]


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(SIZE, layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure) -> str:
    """From its own tag on, as HTML takes it."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    text = file.getvalue()
    return text[text.index("<svg") :]


def _throughput(levels: Sequence[Summary], earlier: Sequence[Summary]) -> str:
    figure, axes = _figure()
    if earlier:
        axes.plot([e.level for e in earlier], [e.audio_s_per_s for e in earlier], color=P50, label="earlier", **EARLIER)
    axes.plot([e.level for e in levels], [e.audio_s_per_s for e in levels], "o-", color=P50, label="audio")
    axes.axvline(knee(levels).level, color="#666", linestyle=":")
    _powers_of_two(axes, levels)
    axes.set(xlabel="requests at once", ylabel="s of audio a second")
    axes.set_ylim(bottom=0.0)
    if earlier:
        axes.legend()
    return _svg(figure)


def _latency(stages: Sequence[Summary], earlier: Sequence[Summary], level_name: str, limit_s: float | None) -> str:
    figure, axes = _figure()
    for name, color in (("p50", P50), ("p95", P95), ("p99", P99)):
        for summaries, style in ((earlier, EARLIER), (stages, {**NOW, "label": name})):
            rows = sorted((e.level, 1e3 * v) for e in summaries if (v := getattr(e.ttfa_s, name)) is not None)
            axes.plot([level for level, _ in rows], [value for _, value in rows], color=color, **style)
    if limit_s is not None:
        axes.axhline(1e3 * limit_s, color=LIMIT, linestyle=":")
    if stages[0].loop is Loop.CLOSED:
        _powers_of_two(axes, stages)
    axes.set(xlabel=level_name, ylabel="ms", yscale="log")
    _plain(axes)
    axes.legend()
    return _svg(figure)


def _rtf(stages: Sequence[Summary], limit: float) -> str:
    figure, axes = _figure()
    rows = sorted((each.level, each.rtf.p95) for each in stages if each.rtf.p95 is not None)
    axes.plot([level for level, _ in rows], [value for _, value in rows], "o-", color=P95)
    axes.axhline(limit, color=LIMIT, linestyle=":")
    axes.set(xlabel="requests a second", ylabel="RTF p95")
    axes.set_ylim(bottom=0.0)
    return _svg(figure)


def _percentiles(stages: Sequence[Stage]) -> str:
    figure, axes = _figure()
    for stage, color in zip(stages, (P50, P95, P99), strict=False):
        start_s, end_s = stage.window_s
        meant = [each for each in stage.heard if each.is_ok and each.is_stream and start_s <= each.intended_s < end_s]
        waits_s = sorted(each.ttfa_s for each in meant if each.ttfa_s is not None)
        shares = [index / len(waits_s) for index in range(len(waits_s))]
        axes.plot(
            [1.0 / (1.0 - share) for share in shares],
            [1e3 * wait_s for wait_s in waits_s],
            color=color,
            label=stage.name,
        )
    axes.set(xlabel="percentile", ylabel="ms", xscale="log", yscale="log")
    axes.set_xticks([1.0 / (1.0 - share) for share in TAIL], [f"{100 * share:g}" for share in TAIL])
    axes.xaxis.minorticks_off()
    _plain(axes)
    axes.legend()
    return _svg(figure)


def _inside(stage: Stage) -> str:
    figure, axes = _figure()
    names = ("slots used", "sentences waiting", BATCH, CPU, "GPU use")
    start_s = stage.window_s[0]
    for name in names:
        rows = [(each.at_s - start_s, each.values[name]) for each in stage.readings if name in each.values]
        if rows:
            axes.plot([at_s for at_s, _ in rows], [value for _, value in rows], label=name, linewidth=1.2)
    axes.axvspan(0.0, stage.window_s[1] - start_s, color="#888", alpha=0.08)
    axes.set(xlabel="seconds", ylabel="")
    axes.set_ylim(bottom=0.0)
    axes.legend(ncols=3, fontsize=8)
    return _svg(figure)


def _powers_of_two(axes: Axes, levels: Sequence[Summary]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks([each.level for each in levels], [f"{each.level:g}" for each in levels])
    axes.xaxis.minorticks_off()


def _plain(axes: Axes) -> None:
    """Numbers as they are spoken, 300 and not 3 × 10²."""
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
