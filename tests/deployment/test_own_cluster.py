"""`serve` from its command to its end."""

import signal
import subprocess
import sys
from collections.abc import Generator
from typing import IO

import httpx
import psutil
import pytest

from tests.ports import free_port

ROUTE = "/v1/audio/speech"

SERVE = """
import logging, sys
from serve_app.deployment.own_cluster import run_serve
from serve_app.settings import Settings, make_settings
from tests.fakes import load_fake_service
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
run_serve(Settings(port=int(sys.argv[1]), shutdown_timeout_s=5.0), load_fake_service)
"""


@pytest.mark.slow
@pytest.mark.ray
def test_serve_runs_until_it_is_told_to_stop_and_leaves_nothing() -> None:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        lines = list(iter_until(process.stderr, f"ready on http://127.0.0.1:{port}"))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client:
            assert client.get("/health/ready").status_code == 200
            assert client.post(ROUTE, json={"input": "Hello"}).status_code == 200
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.send_signal(signal.SIGTERM)
        lines += process.communicate(timeout=30)[1].splitlines()
    finally:
        process.kill()
    log = "\n".join(lines)
    assert process.returncode == 0, log
    assert "loading the fake" in log and "stopping" in log
    assert "Dashboard" not in log and "usage stat" not in log.lower()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def iter_until(lines: IO[str], text: str) -> Generator[str]:
    for line in lines:
        yield line
        if text in line:
            return
    pytest.fail(f"the output ended without {text!r}")
