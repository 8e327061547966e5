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

IN_LINE = 4
WIDTH_IN, NUMBER_IN, LINE_IN, GAP_IN, DPI = 14.0, 0.4, 1.55, 0.62, 100
LEFT, INNER = 0.035, 0.84  # of the width; of a panel's share of it
RED, GREY = "#c4162a", "#555555"
SUFFIX = {Unit.SHARE: " %", Unit.SECONDS: " s", Unit.BYTES: " GB", Unit.PERCENT: " %"}
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
    """Numbers above; below, all panels with data in one flow; last, what had none."""
    placed = [(row.title, answer) for row, answers in rows for answer in answers]
    numbers = [each for each in placed if each[1].panel.is_number]
    shown = [each for each in placed if not each[1].panel.is_number and _has_data(each[1])]
    empty = [answer.panel for _, answer in placed if not answer.panel.is_number and not _has_data(answer)]
    num_lines = math.ceil(len(shown) / IN_LINE)
    total_in = 1.55 + num_lines * (LINE_IN + GAP_IN)
    with mpl.rc_context({"font.size": 7.5, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(WIDTH_IN, total_in), dpi=DPI)
        figure.text(LEFT, 1 - 0.3 / total_in, title, fontsize=12, weight="bold")
        for index, (_, answer) in enumerate(numbers):
            axes = _axes(figure, index, len(numbers), total_in - 0.65, NUMBER_IN)
            axes.set_title(answer.panel.title, fontsize=8, loc="left", pad=1)
            _draw_number(axes, answer)
        for index, (row, answer) in enumerate(shown):
            panel, (line, column) = answer.panel, divmod(index, IN_LINE)
            axes = _axes(figure, column, IN_LINE, total_in - 1.6 - line * (LINE_IN + GAP_IN), LINE_IN)
            unit = f" ({_suffix(panel.unit).strip()})" if panel.unit.startswith("suffix:") else ""
            axes.set_title(panel.title + unit, fontsize=9, loc="left", pad=3)
            if index == 0 or shown[index - 1][0] != row:
                axes.text(1.0, 1.03, row, fontsize=7, color=GREY, ha="right", transform=axes.transAxes)
            _draw_lines(axes, answer)
        said = "; ".join(f"{panel.title} ({panel.empty})" for panel in empty)
        figure.text(LEFT, 0.1 / total_in, f"No data in this run: {said}." if said else "", fontsize=8, color=GREY)
        figure.savefig(path, pil_kwargs={"optimize": True})


def _has_data(answer: Answer) -> bool:
    return any(any(map(math.isfinite, line.values)) for _, line in answer.lines)


def _axes(figure: Figure, column: int, in_line: int, top_in: float, height_in: float) -> Axes:
    total_in = figure.get_size_inches()[1]
    width = (1 - LEFT) / in_line
    place = (LEFT + column * width, (top_in - height_in) / total_in, width * INNER, height_in / total_in)
    return figure.add_axes(place)


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
    axes.set_ylim(0.0, axes.get_ylim()[1] if any(any(line.values) for _, line in lines) else 1.0)
    axes.margins(x=0.0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}{SUFFIX.get(panel.unit, '')}"))
    axes.tick_params(labelsize=6.5, length=2)
    if len(lines) <= MAX_LEGENDS:
        axes.legend(fontsize=6, loc="best", framealpha=0.7, borderpad=0.2, labelspacing=0.2, handlelength=1.2)


def _shown(value: float, unit: Unit) -> str:
    return f"{value * FACTOR.get(unit, 1.0):.3g}{_suffix(unit)}"


def _suffix(unit: Unit) -> str:
    return unit.removeprefix("suffix:") if unit.startswith("suffix:") else SUFFIX.get(unit, "")


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
