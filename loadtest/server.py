"""The real service as a process of its own on 127.0.0.1, with Ray or without, and what can be seen of it outside."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx2

from loadtest.gauges import Gauges, read_gauges
from loadtest.resources import UsageByRole, usage_by_role
from loadtest.wire import Address
from serve_app.bench.process_tree import PROC, ProcessTree
from serve_app.bench.serve_process import environment
from serve_app.errors import StartupError
from serve_app.local import bound_socket
from serve_app.settings import Settings, make_settings

SERVE, LOCALLY = ("serve_app", "serve"), ("serve_app", "serve", "--local")
READY_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.25
ENGINE = "engine"  # the role


class Service(Protocol):
    """A service under test."""

    @property
    def address(self) -> Address: ...

    def usage(self) -> UsageByRole: ...

    async def gauges(self) -> Gauges: ...

    def kill_engine(self) -> None:
        """With SIGKILL, and only where it runs in a process of its own."""

    def troubles(self) -> list[str]:
        """What its log calls an error."""

    def num_voice_bytes(self) -> int:
        """Of voices on its disk."""


@dataclass(frozen=True)
class RunningService:
    """A `Service` that this process has started."""

    process: "subprocess.Popen[bytes]"
    settings: Settings
    log_path: Path
    is_ray: bool

    @property
    def address(self) -> Address:
        return Address(self.settings.port)

    @property
    def metrics(self) -> Address:
        assert self.settings.metrics_port is not None
        return Address(self.settings.metrics_port)

    @property
    def tree(self) -> ProcessTree:
        return ProcessTree(self.process.pid, is_ray=self.is_ray)

    def usage(self) -> UsageByRole:
        return usage_by_role(self.tree)

    async def gauges(self) -> Gauges:
        return await read_gauges(self.metrics)

    def kill_engine(self) -> None:
        assert self.is_ray, "without Ray the engine is the service itself"
        for pid in self.tree.pids():
            with suppress(FileNotFoundError, ProcessLookupError):
                if self.tree.group(pid) == ENGINE:
                    os.kill(pid, signal.SIGKILL)

    def troubles(self) -> list[str]:
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if '"level": "error"' in line or "Traceback" in line]

    def num_voice_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.settings.voice_dir.glob("*"))

    def wait_until_ready(self) -> None:
        """Raises `StartupError` where that never comes."""
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        with httpx2.Client(base_url=str(self.address), trust_env=False) as client:
            while time.monotonic() < deadline_s and self.process.poll() is None:
                with suppress(httpx2.TransportError):
                    if client.get("/health/ready").status_code == 200:
                        return
                time.sleep(POLL_S)
        said = "\n".join(self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
        raise StartupError(f"the service was not ready in {READY_TIMEOUT_S:.0f} s, or ended. Its last words:\n{said}")

    def stop(self) -> None:
        """Politely. Raises `StartupError` where it does not end well or leaves processes behind."""
        family = [pid for pid in self.tree.pids() if pid != self.process.pid]
        self.process.terminate()
        status = self.process.wait(STOP_TIMEOUT_S)
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        while (left := [pid for pid in family if _is_running(pid)]) and time.monotonic() < deadline_s:
            time.sleep(POLL_S)
        if status or left:
            raise StartupError(f"the service ended with status {status} and left {len(left)} processes behind")

    def kill(self) -> None:
        """Whatever is left of it."""
        family = list(self.tree.pids()) if self.process.poll() is None else []
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(
    settings: Settings, directory: Path, *, is_ray: bool, module: Sequence[str] | None = None
) -> Generator[RunningService]:
    """The service, ready; `directory` takes its log and its voices. It is told to stop at the end.

    `module`: what to run with `python -m` and its arguments, where it is not `serve_app serve`.
    """
    own = settings.model_copy(
        update={
            "host": "127.0.0.1",
            "port": free_port(),
            "metrics_port": free_port(),
            "voice_dir": directory / "voices",
            "job_dir": directory / "jobs",
            "log_format": "json",
        }
    )
    log_path = directory / "log"
    command = [sys.executable, "-m", *(module or (SERVE if is_ray else LOCALLY))]
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, env=environment(own), stdout=log, stderr=log)
    service = RunningService(process, own, log_path, is_ray)
    with told_to_end():
        try:
            service.wait_until_ready()
            yield service
            service.stop()
        finally:
            service.kill()


@contextmanager
def told_to_end() -> Generator[None]:
    """SIGTERM ends this process as Ctrl+C does, so that it takes the service along."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_running(pid: int) -> bool:
    """Whether the process is more than an entry that its parent has not yet read."""
    with suppress(FileNotFoundError, ProcessLookupError):
        stat = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


def free_port() -> int:
    with bound_socket(make_settings(host="127.0.0.1", port=0)) as probe:
        port: int = probe.getsockname()[1]
    return port
