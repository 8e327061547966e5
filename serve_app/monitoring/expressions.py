"""PromQL of our metrics, as they are named and labelled with Ray and without. Knows no panel and no alert."""

from dataclasses import dataclass, replace

from serve_app.metrics import Kind, Metric

NOT_PROBES = 'route!~"/health.*"'  # /health/ready answers 503 until the model is loaded, which is no failure
FAILED = (f'{NOT_PROBES},status=~"5.."', f'{NOT_PROBES},code="truncated"')  # apart: a stream that was cut had its 200
REFUSED = 'code="overloaded"'
BIRTH = "1h"  # a counter that was not seen for as long as this begins at zero


@dataclass(frozen=True)
class Source:
    """Where metrics come from. `group` tells one service from another, `member` its processes; `scope` are label
    matchers that every selector has."""

    prefix: str
    group: tuple[str, ...]
    member: str
    scope: tuple[str, ...] = ()

    @property
    def is_ray(self) -> bool:
        return bool(self.prefix)

    def scoped(self, *matchers: str) -> "Source":
        return replace(self, scope=(*self.scope, *matchers))

    def of_nodes(self) -> "Source":
        """The same of what belongs to a node, not to an application."""
        return replace(self, scope=tuple(each for each in self.scope if not each.startswith("application")))

    def select(self, metric: Metric, *matchers: str, part: str = "") -> str:
        """The metric's series. A histogram's `part` is bucket, count or sum."""
        assert bool(part) == (metric.kind is Kind.HISTOGRAM), metric.name
        suffix = f"_{part}" if part else "_total" if metric.kind is Kind.COUNTER else ""
        within = ",".join((*self.scope, *matchers))
        return f"{self.prefix}{metric.name}{suffix}" + (f"{{{within}}}" if within else "")

    def rate(self, metric: Metric, window: str, *either: str, by: tuple[str, ...] = (), part: str = "") -> str:
        """A second, over all replicas, of the series that match any of `either`; no two may match the same one."""
        return total(" or ".join(f"rate({each}[{window}])" for each in self._selected(metric, either, part)), by)

    def growth(self, metric: Metric, window: str, *either: str, by: tuple[str, ...] = (), part: str = "") -> str:
        """What was counted in the window, exactly. `increase` alone misses what a series is born with, and with Ray
        each series is born at its first event."""
        return total("\n or ".join(_grown(each, window) for each in self._selected(metric, either, part)), by)

    def _selected(self, metric: Metric, either: tuple[str, ...], part: str) -> list[str]:
        return [self.select(metric, *([each] if each else []), part=part) for each in either or ("",)]

    def quantile(self, quantile: float, metric: Metric, window: str, by: tuple[str, ...] = ()) -> str:
        """Of what all replicas observed; nothing where nothing was observed."""
        buckets = self.rate(metric, window, by=("le", *by), part="bucket")
        return f"histogram_quantile({quantile:g}, {buckets})"

    def share_above(self, bound: float, metric: Metric, window: str, by: tuple[str, ...] = ()) -> str:
        """The share of observations above a bucket's bound."""
        assert bound in metric.buckets, f"{metric.name} has no bucket that ends at {bound}"
        within = self.rate(metric, window, f'le="{bound}"', by=by, part="bucket")
        return f"1 - {within} / ({self.rate(metric, window, by=by, part='count')} > 0)"


RAY = Source(prefix="ray_", group=("namespace", "application"), member="replica")
LOCAL = Source(prefix="", group=("namespace", "job"), member="instance")


def _grown(series: str, window: str) -> str:
    return f"({series} unless last_over_time({series}[{BIRTH}] offset {window}))\n or increase({series}[{window}])"


def total(vector: str, by: tuple[str, ...] = ()) -> str:
    return _aggregate("sum", vector, by)


def highest(vector: str, by: tuple[str, ...] = ()) -> str:
    return _aggregate("max", vector, by)


def _aggregate(operator: str, vector: str, by: tuple[str, ...]) -> str:
    return f"{operator} by ({', '.join(by)}) ({vector})" if by else f"{operator}({vector})"


def share(part: str, whole: str) -> str:
    """Zero where the part was never met; nothing where there is no whole."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"
