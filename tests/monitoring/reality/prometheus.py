"""A Prometheus of our own on 127.0.0.1, and what it answers."""

import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from serve_app.monitoring.alerts import rules_yaml
from serve_app.monitoring.expressions import RAY
from tests.end_to_end.serving import free_port
from tests.monitoring.promtool import ROOT

CONFIG = """\
global: {{scrape_interval: 1s, evaluation_interval: 2s}}
rule_files: [rules.yaml]
scrape_configs: [{{job_name: xtts, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""
START_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Line:
    """One series of an answer."""

    labels: dict[str, str]
    times_s: list[float]
    values: list[float]


@dataclass(frozen=True)
class Prometheus:
    url: str

    def over(self, expression: str, start_s: float, end_s: float, step_s: float = 2.0) -> list[Line]:
        """Raises `httpx.HTTPStatusError` where the expression is refused."""
        asked = {"query": expression, "start": start_s, "end": end_s, "step": step_s}
        found = self._get("query_range", asked)["result"]
        return [
            Line(each["metric"], [at for at, _ in each["values"]], [float(value) for _, value in each["values"]])
            for each in found
        ]

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self._get("rules", {})["groups"] for rule in group["rules"]]

    def _get(self, what: str, asked: dict[str, Any]) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/api/v1/{what}", params=asked, timeout=30.0)
        answer.raise_for_status()
        data: dict[str, Any] = answer.json()["data"]
        return data


@contextmanager
def scraping(metrics_port: int, directory: Path) -> Generator[Prometheus]:
    """With our rules. Ends with the block."""
    found = shutil.which("prometheus") or shutil.which("prometheus", path=str(ROOT / "build" / "prometheus"))
    assert found, "there is no prometheus: run scripts/get-prometheus build/prometheus"
    (directory / "rules.yaml").write_text(rules_yaml(RAY), encoding="utf-8")
    (directory / "prometheus.yaml").write_text(CONFIG.format(port=metrics_port), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    options = (f"--config.file={directory}/prometheus.yaml", f"--storage.tsdb.path={directory}/data")
    with (directory / "log").open("w", encoding="utf-8") as log:
        command = [found, *options, f"--web.listen-address={address}"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_until_ready(f"http://{address}", process)
        yield Prometheus(f"http://{address}")
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/-/ready").status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"Prometheus was not ready in {START_TIMEOUT_S} s (exit code {process.poll()})")
