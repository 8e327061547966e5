"""What the engine tells of itself."""

import time

import pytest
from prometheus_client import CollectorRegistry

from serve_app.engine.config import EngineConfig
from serve_app.engine.reporter import EngineReporter
from serve_app.engine.scheduler import Scheduler
from serve_app.engine.sequence import EngineStats, Status
from serve_app.metrics import Metrics, PrometheusExporter
from tests.engine.test_scheduler import new_sequence


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_a_step_is_observed_by_its_phases(registry: CollectorRegistry) -> None:
    reporter = EngineReporter(Metrics(PrometheusExporter(registry)), Scheduler(EngineConfig(max_slots=4)), 4)
    before = EngineStats(num_decode_rows=10, decode_s=1.0, num_codes=10)
    reporter.step(before, EngineStats(num_decode_rows=13, decode_s=1.03, num_codes=13))
    assert registry.get_sample_value("xtts_batch_rows_sum") == 3.0
    assert registry.get_sample_value("xtts_step_seconds_sum", {"phase": "decode"}) == pytest.approx(0.03)
    assert registry.get_sample_value("xtts_step_seconds_count", {"phase": "render"}) is None


def test_counters_grow_by_what_was_added(registry: CollectorRegistry) -> None:
    reporter = EngineReporter(Metrics(PrometheusExporter(registry)), Scheduler(EngineConfig(max_slots=4)), 4)
    reporter.report(EngineStats(num_codes=10, num_samples=24_000))
    reporter.report(EngineStats(num_codes=15, num_samples=36_000))
    assert registry.get_sample_value("xtts_codes_total") == 15.0
    assert registry.get_sample_value("xtts_made_seconds_total") == pytest.approx(1.5)
    reporter.over(Status.ABORTED)
    assert registry.get_sample_value("xtts_sentences_total", {"outcome": "aborted"}) == 1.0


def test_queue_is_told_with_how_long_the_most_urgent_has_waited(registry: CollectorRegistry) -> None:
    scheduler = Scheduler(EngineConfig(max_slots=1))
    reporter = EngineReporter(Metrics(PrometheusExporter(registry)), scheduler, 1)
    now_s = time.monotonic()
    for number, arrival_s in enumerate((now_s - 9.0, now_s - 5.0, now_s - 2.0)):
        scheduler.add(new_sequence(number, arrival_s=arrival_s))
    scheduler.schedule()
    reporter.report(EngineStats())
    assert registry.get_sample_value("xtts_slots_used") == 1.0
    assert registry.get_sample_value("xtts_sentences_waiting") == 2.0
    assert registry.get_sample_value("xtts_oldest_wait_seconds") == pytest.approx(5.0, abs=0.5)
