"""A real server on a free port of this machine, over the fake backend, one per test."""

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
import uvicorn
from prometheus_client import CollectorRegistry

from serve_app.api.app import create_app
from serve_app.metrics import Metrics, PrometheusExporter
from serve_app.settings import Settings
from tests.fakes import FakeBackend


@dataclass(frozen=True)
class Server:
    """A running server, the backend behind it, and a client of it."""

    url: str
    backend: FakeBackend
    client: httpx.Client
    registry: CollectorRegistry

    def metric(self, name: str, **labels: str) -> float:
        """As Prometheus would read it now; 0 where nothing was recorded."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def wait_until_idle(self, timeout_s: float = 5.0) -> float:
        """Seconds until no stream is open in the backend."""
        started_s = time.perf_counter()
        while self.backend.num_open_streams:
            assert time.perf_counter() - started_s < timeout_s, "the backend's stream was left open"
            time.sleep(0.001)
        return time.perf_counter() - started_s


@contextmanager
def running(settings: Settings) -> Generator[Server]:
    backend, registry = FakeBackend(), CollectorRegistry()
    app = create_app(backend, settings, recorder=Metrics(PrometheusExporter(registry)))
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with httpx.Client(base_url=url, timeout=20.0) as client:
            yield Server(url, backend, client, registry)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(autouse=True)
def voices_apart(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test's settings are, its users' voices and jobs are its own."""
    monkeypatch.setenv("XTTS_JOB_DIR", str(tmp_path_factory.mktemp("jobs")))
    monkeypatch.setenv("XTTS_VOICE_DIR", str(tmp_path_factory.mktemp("voices")))


@pytest.fixture
def settings() -> Settings:
    return Settings(max_text_chars=200, max_streamed_chars=200, max_upload_bytes=200_000)


@pytest.fixture
def server(settings: Settings) -> Generator[Server]:
    with running(settings) as server:
        yield server
