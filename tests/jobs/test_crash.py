"""A server that is killed in the middle of a job, for real, and the next one that goes on with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.jobs.support import BOOK
from tests.ports import free_port

SERVE = """
import sys
from functools import partial
from serve_app.api import app
from serve_app.jobs.runner import JobRunner
from serve_app.local import run_local
from serve_app.settings import Settings
from tests.fakes import FakeService
from tests.jobs.support import QUICK
app.JobRunner = partial(JobRunner, pace=QUICK)
def load(settings, progress, recorder):
    service = FakeService()
    service.configure(chunk_delay_s=float(sys.argv[2]))
    return service
run_local(Settings(port=int(sys.argv[1]), shutdown_timeout_s=2.0), load)
"""


@contextmanager
def serving(directory: Path, chunk_delay_s: float) -> Generator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    port = free_port()
    environment = {**os.environ, "XTTS_JOB_DIR": str(directory)}
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(port), str(chunk_delay_s)], env=environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10.0) as client:
            until(client, lambda: client.get("/health/ready").status_code == 200)
            yield client, process
    finally:
        process.kill()
        process.wait()


def until(client: httpx.Client, is_so: Any, timeout_s: float = 20.0) -> None:
    deadline_s = time.perf_counter() + timeout_s
    while time.perf_counter() < deadline_s:
        with suppress(httpx.TransportError):
            if is_so():
                return
        time.sleep(0.01)
    pytest.fail("it did not come to pass")


@pytest.mark.slow
def test_job_of_a_killed_server_is_finished_by_the_next_one_byte_for_byte(tmp_path: Path) -> None:
    body = {"input": BOOK, "seed": 11, "response_format": "flac"}
    with serving(tmp_path / "torn", 0.0005) as (client, process):
        path = f"/v1/jobs/{client.post('/v1/jobs', json=body).json()['id']}"
        until(client, lambda: client.get(path).json()["progress"]["parts_done"] >= 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with serving(tmp_path / "torn", 0.0) as (client, _):
        torn = client.get(path).json()
        assert torn["status"] == "running" and torn["progress"]["parts_done"] < 5
        until(client, lambda: client.get(path).json()["status"] == "done")
        resumed = client.get(f"{path}/result").content
        other = f"/v1/jobs/{client.post('/v1/jobs', json=body).json()['id']}"  # spoken without a break
        until(client, lambda: client.get(other).json()["status"] == "done")
        assert client.get(f"{other}/result").content == resumed


def test_server_that_is_told_to_stop_gives_its_job_back_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, 0.01) as (client, process):
        job_id = client.post("/v1/jobs", json={"input": BOOK}).json()["id"]
        until(client, lambda: client.get(f"/v1/jobs/{job_id}").json()["status"] == "running")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not list((tmp_path / "everyone" / job_id).glob("lease-*"))
