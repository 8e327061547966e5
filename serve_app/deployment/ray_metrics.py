"""Our metrics through Ray's own exporter, which each node has one of. Ray adds `ray_` in front of their names."""

from collections.abc import Mapping
from typing import cast

from ray.serve import metrics as ray_metrics

from serve_app.metrics import ALL, Kind, Metric


class RayExporter:
    """Of the replica that makes it: Serve labels what it records with application, deployment and replica."""

    def __init__(self) -> None:
        self._counters: dict[str, ray_metrics.Counter] = {}
        self._gauges: dict[str, ray_metrics.Gauge] = {}
        self._histograms: dict[str, ray_metrics.Histogram] = {}
        for metric in ALL:
            match metric.kind:
                case Kind.COUNTER:
                    self._counters[metric.name] = ray_metrics.Counter(metric.name, metric.help, _tags(metric))
                case Kind.GAUGE:
                    self._gauges[metric.name] = ray_metrics.Gauge(metric.name, metric.help, _tags(metric))
                case Kind.HISTOGRAM:
                    self._histograms[metric.name] = ray_metrics.Histogram(
                        metric.name, metric.help, list(metric.buckets), _tags(metric)
                    )

    def add(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        if value > 0.0:  # Ray refuses to add nothing
            self._counters[metric.name].inc(value, dict(labels))

    def set(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        self._gauges[metric.name].set(value, dict(labels))

    def observe(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        self._histograms[metric.name].observe(value, dict(labels))


def _tags(metric: Metric) -> tuple[str]:
    return cast(tuple[str], metric.labels)  # Ray's annotation says one tag and means any number
