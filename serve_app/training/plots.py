"""Losses over steps, as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

SKIPPED = {"step", "seconds"}


def plot_history(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """One panel a loss; a loss that only some entries have is drawn at those."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(name for entry in history for name in entry if name not in SKIPPED))
    if not names:
        return
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(4.5 * columns, 3.0 * rows), squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for name, axis in zip(names, axes.flat, strict=False):
        points = [(entry["step"], entry[name]) for entry in history if name in entry]
        axis.plot(*zip(*points, strict=True), linewidth=1.0)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
