"""What NVML says of the GPU becomes metrics. NVML and CUDA are stood in for: no GPU is needed."""

import time
from types import SimpleNamespace

import pynvml
import pytest
import torch
from prometheus_client import CollectorRegistry

from serve_app.engine import gpu_reporter
from serve_app.engine.gpu_reporter import GpuReporter
from serve_app.metrics import Metrics, PrometheusExporter

UUID = "GPU-5f0e2a"


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    state = SimpleNamespace(used=3_000, gpu=37)
    monkeypatch.setattr(gpu_reporter, "PERIOD_S", 0.01)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid=UUID.removeprefix("GPU-")))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 2_000)
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", {UUID: "the handle"}.__getitem__)
    answers = {"the handle": state}  # NVML's rates have a field `gpu` too
    monkeypatch.setattr(
        pynvml, "nvmlDeviceGetMemoryInfo", lambda handle: SimpleNamespace(total=8_000, used=answers[handle].used)
    )
    monkeypatch.setattr(
        pynvml, "nvmlDeviceGetUtilizationRates", lambda handle: SimpleNamespace(gpu=answers[handle].gpu)
    )
    return state


def test_memory_and_use_are_reported_as_they_change(nvml: SimpleNamespace) -> None:
    registry = CollectorRegistry()
    reporter = GpuReporter(Metrics(PrometheusExporter(registry)), torch.device("cuda"))
    reporter.start()
    try:
        _until(registry, "xtts_gpu_memory_used_bytes", 3_000)
        assert registry.get_sample_value("xtts_gpu_memory_bytes") == 8_000
        assert registry.get_sample_value("xtts_gpu_memory_reserved_bytes") == 2_000
        _until(registry, "xtts_gpu_use", 0.37)
        nvml.used, nvml.gpu = 4_000, 90
        _until(registry, "xtts_gpu_memory_used_bytes", 4_000)
        _until(registry, "xtts_gpu_use", 0.9)
    finally:
        reporter.stop()
    assert not reporter._thread.is_alive()


def test_without_nvml_the_log_says_so_and_nothing_else_happens(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> None:
        raise pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    reporter = GpuReporter(Metrics(), torch.device("cuda"))
    reporter.start()
    reporter._thread.join(5.0)
    assert "no metrics of the GPU" in caplog.text
    reporter.stop()


def _until(registry: CollectorRegistry, name: str, value: float) -> None:
    deadline_s = time.monotonic() + 5.0
    while registry.get_sample_value(name) != value:
        assert time.monotonic() < deadline_s, f"{name} is {registry.get_sample_value(name)}, not {value}"
        time.sleep(0.01)
