"""Metrics are what dashboards and alerts are written against: names, kinds and labels hold."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from serve_app import metrics
from serve_app.metrics import ALL, NOT_RECORDED, Kind, Metrics, PrometheusExporter


def test_every_metric_is_ours_and_named_by_its_unit() -> None:
    assert len(ALL) >= 18 and len({metric.name for metric in ALL}) == len(ALL)
    for metric in ALL:
        assert metric.name.startswith("xtts_") and not metric.name.endswith("_total") and metric.help
        assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))


def test_what_is_recorded_is_exported() -> None:
    registry = CollectorRegistry()
    recorder = Metrics(PrometheusExporter(registry))
    recorder.add(metrics.VOICES, found="disk")
    recorder.add(metrics.VOICES, 2.0, found="disk")
    recorder.set(metrics.SLOTS, 16)
    recorder.observe(metrics.STEP_SECONDS, 0.03, phase="decode")
    assert registry.get_sample_value("xtts_voices_total", {"found": "disk"}) == 3.0
    assert registry.get_sample_value("xtts_slots") == 16.0
    assert registry.get_sample_value("xtts_step_seconds_bucket", {"phase": "decode", "le": "0.035"}) == 1.0
    assert b"# HELP xtts_requests_total" in generate_latest(registry)


def test_labels_are_exactly_those_of_the_metric() -> None:
    with pytest.raises(ValueError, match="abel"):
        Metrics(PrometheusExporter(CollectorRegistry())).add(metrics.VOICES, where="disk")


def test_a_metric_is_used_as_what_it_is() -> None:
    with pytest.raises(AssertionError):
        NOT_RECORDED.set(metrics.VOICES, 1.0, found="disk")
