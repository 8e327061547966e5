"""The panels' answers on one sheet, as the docs show them."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from serve_app.monitoring.panel import Panel, Row, Unit
from tests.monitoring.reality.prometheus import Line

COLUMNS, IN_LINE = 12, 4
WIDTH_IN, NUMBER_IN, LINE_IN, GAP_IN, DPI = 15.0, 0.75, 1.7, 0.62, 100
RED, GREY = "#c4162a", "#555555"
SUFFIX = {Unit.SHARE: " %", Unit.SECONDS: " s", Unit.BYTES: " GB", Unit.PERCENT: " %", Unit.PER_SECOND: " /s"}
FACTOR = {Unit.SHARE: 100.0, Unit.BYTES: 1e-9}
MAX_LEGENDS = 8


@dataclass(frozen=True)
class Answer:
    """A panel and its lines, each with the legend that its query gives it."""

    panel: Panel
    lines: Sequence[tuple[str, Line]]


def legend(template: str, labels: dict[str, str]) -> str:
    """As Grafana fills it in."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), template)


def draw(rows: Sequence[tuple[Row, Sequence[Answer]]], title: str, path: Path) -> None:
    heights = [GAP_IN + _height(row) for row, _ in rows]
    total_in = sum(heights) + 0.9
    with mpl.rc_context({"font.size": 7.5, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(WIDTH_IN, total_in), dpi=DPI)
        figure.text(0.03, 1 - 0.3 / total_in, title, fontsize=12, weight="bold")
        top_in = total_in - 0.5
        for (row, answers), height in zip(rows, heights, strict=True):
            figure.text(0.03, (top_in - 0.15) / total_in, row.title, fontsize=10, weight="bold", color=GREY)
            _draw_row(figure, row, answers, top_in - 0.5, total_in)
            top_in -= height
        figure.savefig(path, pil_kwargs={"optimize": True})


def _height(row: Row) -> float:
    if row.panels[0].is_number:
        return NUMBER_IN
    return math.ceil(len(row.panels) / IN_LINE) * (LINE_IN + 0.55)


def _draw_row(figure: Figure, row: Row, answers: Sequence[Answer], top_in: float, total_in: float) -> None:
    is_number = row.panels[0].is_number
    in_line = len(row.panels) if is_number else IN_LINE
    width, height = 0.96 / in_line, (NUMBER_IN - 0.25 if is_number else LINE_IN)
    for index, answer in enumerate(answers):
        line, column = divmod(index, in_line)
        bottom_in = top_in - height - line * (LINE_IN + 0.55)
        place = (0.03 + column * width, bottom_in / total_in, width * 0.86, height / total_in)
        axes = figure.add_axes(place)
        axes.set_title(answer.panel.title, fontsize=8, loc="left", pad=3)
        (_draw_number if is_number else _draw_lines)(axes, answer)


def _draw_number(axes: Axes, answer: Answer) -> None:
    axes.axis("off")
    values = [value for _, line in answer.lines for value in line.values if math.isfinite(value)]
    panel = answer.panel
    is_bad = values and (
        (panel.bad is not None and values[-1] > panel.bad) or (panel.good is not None and values[-1] < panel.good)
    )
    shown = _shown(values[-1], panel.unit) if values else "–"
    axes.text(0.0, 0.35, shown, fontsize=17, color=RED if is_bad else "#37872d", va="center")


def _draw_lines(axes: Axes, answer: Answer) -> None:
    panel = answer.panel
    factor = FACTOR.get(panel.unit, 1.0)
    lines = [(name, line) for name, line in answer.lines if any(map(math.isfinite, line.values))]
    if not lines:
        axes.text(0.5, 0.5, f"no data: {panel.empty}", ha="center", va="center", color=GREY, transform=axes.transAxes)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    if panel.is_stacked:
        times = sorted({at for _, line in lines for at in line.times_s})
        known = [dict(zip(line.times_s, line.values, strict=True)) for _, line in lines]
        stacked = [[_finite(values.get(at, 0.0)) * factor for at in times] for values in known]
        axes.stackplot([at / 60 for at in times], stacked, labels=[name for name, _ in lines], alpha=0.75, linewidth=0)
    else:
        for name, line in lines:
            axes.plot(
                [at / 60 for at in line.times_s], [value * factor for value in line.values], label=name, linewidth=1.1
            )
    if panel.bad is not None and axes.get_ylim()[1] >= 0.5 * panel.bad * factor:
        axes.axhline(panel.bad * factor, color=RED, linewidth=0.8, linestyle="--")
    axes.set_ylim(bottom=0.0)
    axes.margins(x=0.0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{SUFFIX.get(panel.unit, '')}"))
    axes.tick_params(labelsize=6.5, length=2)
    names = [name for name, _ in lines]
    if len(names) <= MAX_LEGENDS:
        axes.legend(
            fontsize=6, loc="upper left", frameon=True, framealpha=0.7, borderpad=0.2, ncols=1 + (len(names) > 4)
        )


def _shown(value: float, unit: Unit) -> str:
    suffix = unit.removeprefix("suffix:") if unit.startswith("suffix:") else SUFFIX.get(unit, "")
    return f"{value * FACTOR.get(unit, 1.0):.3g}{suffix}"


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
