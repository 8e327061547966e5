"""Pictures of a run: the fleet over time, and how long listeners waited."""

from pathlib import Path

import numpy as np

from loadtest.planner.outcome import Objective, Outcome
from loadtest.planner.traffic import Curve

MINUTE_S = 60.0


def plot_outcome(outcome: Outcome, curve: Curve, objective: Objective, title: str, path: Path) -> None:
    """Traffic, replicas, and the first audio's p95 a window, one above the other, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (traffic, fleet, waits) = pyplot.subplots(3, 1, figsize=(9.0, 8.0), sharex=True)
    minutes = outcome.timeline.column("time_s") / MINUTE_S
    traffic.plot(curve.times_s / MINUTE_S, curve.rates_hz, color="tab:gray", label="requests/s")
    for name, style in (("running", "-"), ("wanted", "--"), ("paid", ":")):
        fleet.step(minutes, outcome.timeline.column(name), style, where="post", linewidth=1.2, label=f"replicas {name}")
    windows = outcome.windows(MINUTE_S)
    starts = np.array([each.start_s for each in windows]) / MINUTE_S
    waits.step(starts, [each.figures.ttfa_p95_s for each in windows], where="post", label="TTFA p95, s")
    waits.step(starts, [each.figures.rtf_p95 for each in windows], where="post", label="RTF p95")
    waits.axhline(objective.ttfa_p95_s, color="tab:red", linewidth=0.8, label="TTFA allowed")
    waits.set_xlabel("minutes")
    traffic.set_title(title, fontsize=10)
    for axis in (traffic, fleet, waits):
        axis.set_ylim(bottom=0.0)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="upper right")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
