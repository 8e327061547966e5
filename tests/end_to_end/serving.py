"""The real service as a process of its own: `python -m serve_app …` with settings from its environment."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.ports import free_port

READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 40.0
# Fixed shapes in float32, so that the same seed gives the same bytes; one thread, so that two servers share two cores.
SETTINGS = {
    "XTTS_MODEL": "synthetic:tiny",
    "XTTS_DTYPE": "float32",
    "XTTS_DETERMINISTIC": "1",
    "XTTS_NUM_THREADS": "1",
}


@dataclass
class Server:
    """A running service."""

    process: subprocess.Popen[str]
    port: int
    log_path: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60.0)

    def wait_until_ready(self) -> None:
        deadline_s = time.perf_counter() + READY_TIMEOUT_S
        while time.perf_counter() < deadline_s and self.process.poll() is None:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/health/ready").status_code == 200:
                    return
            time.sleep(0.1)
        pytest.fail(f"the service was not ready in {READY_TIMEOUT_S} s:\n{self.log}")

    def engine_replica(self) -> psutil.Process:
        """The process of Ray's engine replica, by the title that Ray gives it."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if "Engine" in "".join(child.cmdline()):
                    return child
        pytest.fail(f"there is no engine replica:\n{self.log}")

    def terminate(self) -> int:
        """The exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)


def environment(directory: Path, **settings: str) -> dict[str, str]:
    """This process's own environment with no settings in it but those given, and voices kept in `directory`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("XTTS_")}
    return {**inherited, **SETTINGS, "XTTS_VOICE_DIR": str(directory / "voices"), **settings}


@contextmanager
def starting(directory: Path, *arguments: str, expected_status: int = 0, **settings: str) -> Generator[Server]:
    """`python -m serve_app serve` from its first moment on; at the end it is told to stop and must leave nothing."""
    directory.mkdir(parents=True, exist_ok=True)
    port, log_path = free_port(), directory / "log"
    command = [sys.executable, "-m", "serve_app", "serve", "--port", str(port), *arguments]
    with log_path.open("w", encoding="utf-8") as log:
        env = environment(directory, **settings)
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, text=True)
    server = Server(process, port, log_path)
    family: list[psutil.Process] = []
    try:
        yield server
        family = descendants(process)
        if process.poll() is None:
            server.terminate()
        assert process.returncode == expected_status, server.log
    finally:
        family = family or descendants(process)
        process.kill()
        process.wait()
        left = alive_after(family, 10.0)
        for each in left:
            each.kill()
    assert left == [], "the service left processes behind"


@contextmanager
def serving(directory: Path, *arguments: str, **settings: str) -> Generator[Server]:
    """The same, once it is ready."""
    with starting(directory, *arguments, **settings) as server:
        server.wait_until_ready()
        yield server


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def alive_after(processes: list[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Those that have not ended after `timeout_s`."""
    _, alive = psutil.wait_procs(processes, timeout=timeout_s)
    return [each for each in alive if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def run_command(directory: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`python -m serve_app …` to its end, in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).parents[2]
    env = {**environment(directory, **settings), "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "serve_app", *arguments]
    return subprocess.run(command, env=env, cwd=directory, capture_output=True, text=True, timeout=120.0, check=False)
