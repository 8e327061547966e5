"""What Ray exports of itself has the names and labels that the panels and alerts read."""

import time
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve_app.metrics import Kind
from serve_app.monitoring import ray_metrics
from tests.end_to_end.serving import free_port, serving

pytestmark = [pytest.mark.ray, pytest.mark.slow]

TIMEOUT_S = 40.0  # reports come each ten seconds


def test_ray_exports_the_names_that_we_read(tmp_path: Path) -> None:
    wanted = {
        f"ray_{metric.name}{'_total' if metric.kind is Kind.COUNTER else ''}": set(metric.labels)
        for metric in ray_metrics.ALL
    }
    port = free_port()
    with serving(tmp_path, XTTS_METRICS_PORT=str(port)):
        deadline_s = time.monotonic() + TIMEOUT_S
        while wanted and time.monotonic() < deadline_s:
            for name, labels in _exported(port):
                if wanted.get(name, {""}) <= labels:
                    del wanted[name]
            time.sleep(1.0)
    assert wanted == {}


def _exported(port: int) -> list[tuple[str, set[str]]]:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return [(sample.name, set(sample.labels)) for sample in samples]
