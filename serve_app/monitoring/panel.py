"""What a dashboard is made of, and what its panels share. Knows nothing of Grafana's format."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from serve_app.metrics import Metric
from serve_app.monitoring.expressions import Source

WINDOW = "$__rate_interval"  # Grafana's: at least four scrapes
GLANCE = "5m"
COUNTED, COUNTED_MINUTES = "2m", 2  # events are counted exactly, in a window of their own


class Unit(StrEnum):
    """As Grafana names them."""

    COUNT = "short"
    SHARE = "percentunit"
    PERCENT = "percent"
    SECONDS = "s"
    BYTES = "bytes"
    CODES = "suffix: codes/s"
    REAL_TIME = "suffix: × real time"
    PER_MINUTE = "suffix: /min"


@dataclass(frozen=True)
class Query:
    """`legend` may use labels: {{route}}."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """`bad`: above it, or below `good`, the value is red. `empty`: when there is nothing to see, if that is usual."""

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    bad: float | None = None
    good: float | None = None
    is_stacked: bool = False
    is_number: bool = False
    empty: str = ""
    names: Mapping[int, str] = field(default_factory=dict)  # of values


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


def quantiles(source: Source, metric: Metric, chosen: tuple[float, ...], label: str) -> tuple[Query, ...]:
    """A line for each quantile and value of the label."""
    return tuple(
        Query(source.quantile(quantile, metric, WINDOW, by=(label,)), f"p{100 * quantile:g} {{{{{label}}}}}")
        for quantile in chosen
    )


def a_minute(source: Source, metric: Metric, *either: str, by: tuple[str, ...] = ()) -> str:
    """Events a minute, the first ones too."""
    return f"{source.growth(metric, COUNTED, *either, by=by)} / {COUNTED_MINUTES}"
