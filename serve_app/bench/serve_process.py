"""`serve` as a process of its own on a free port of 127.0.0.1, for the benches that speak to it over HTTP."""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import IO

import httpx2

from serve_app.errors import StartupError
from serve_app.local import bound_socket
from serve_app.settings import Settings

READY_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.25


class ServeProcess:
    """Ready when it is made. Raises `StartupError` if it never gets there."""

    def __init__(self, settings: Settings, *, is_ray: bool) -> None:
        with bound_socket(settings.model_copy(update={"host": "127.0.0.1", "port": 0})) as probe:
            port = probe.getsockname()[1]
        no_jobs = {"max_jobs_running": 0}  # those of whoever works on this machine are left alone
        own = settings.model_copy(update={"host": "127.0.0.1", "port": port, **no_jobs})
        self.url = f"http://127.0.0.1:{port}"
        self._log: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (closed in `close`)
        command = [sys.executable, "-m", "serve_app", "serve", *([] if is_ray else ["--local"])]
        self._process = subprocess.Popen(command, env=environment(own), stdout=self._log, stderr=self._log)
        self.pid = self._process.pid
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        with httpx2.Client(base_url=self.url, trust_env=False) as client:
            while time.monotonic() < deadline_s and self._process.poll() is None:
                with suppress(httpx2.TransportError):
                    if client.get("/health/ready").status_code == 200:
                        return
                time.sleep(POLL_S)
        self._log.seek(0)
        said = "\n".join(self._log.read().splitlines()[-20:])
        raise StartupError(f"`serve` was not ready in {READY_TIMEOUT_S:.0f} s, or ended. Its last words:\n{said}")


def environment(settings: Settings) -> dict[str, str]:
    """This process's environment, with exactly these settings."""
    values = settings.model_dump(mode="json")
    return {**os.environ, **{f"XTTS_{name.upper()}": str(each) for name, each in values.items() if each is not None}}
