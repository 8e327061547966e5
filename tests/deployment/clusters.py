"""What the cluster tests share: an environment, a declared application, and clients that judge each answer."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from ray import serve
from ray.serve.config import HTTPOptions, ProxyLocation
from ray.serve.context import _get_global_client
from ray.serve.schema import LoggingConfig, ServeDeploySchema

from serve_app.audio.pcm import to_int16_bytes
from serve_app.deployment.environment import SERVE_VARIABLES
from serve_app.deployment.own_cluster import APP_NAME
from serve_app.deployment.presence import ENGINE_NAME
from serve_app.deployment.proxy import PROXY_CALLBACK, PROXY_CALLBACK_VARIABLE
from serve_app.speech.request import one_turn
from tests.deployment.cluster_app import GAIN
from tests.fakes import sine_for
from tests.ports import free_port

ROUTE = "/v1/audio/speech"
ARGS: dict[str, Any] = {
    "model": "one",
    "num_gpus_per_engine": 1,
    "max_slots": 4,
    "max_waiting": 8,
    "max_engine_replicas": 3,
    "num_ingress_replicas": 2,
    "upscale_delay_s": 1.0,
    "downscale_delay_s": 3.0,
    "shutdown_timeout_s": 10.0,
}


MEMORY: dict[str, Any] = {"object_store_memory": 80 * 1024 * 1024}


@contextmanager
def environment(**more: str) -> Generator[None]:
    """Of every Ray process that starts in it: failures are noticed within seconds, load is reported twice a second."""
    changes = {
        PROXY_CALLBACK_VARIABLE: PROXY_CALLBACK,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "1000",
        "RAY_health_check_failure_threshold": "3",
        "RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING": "0",
        **SERVE_VARIABLES,
        **{name: "0.5" for name in SERVE_VARIABLES if name.endswith("PUSH_INTERVAL_S")},
        **more,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            patch.setenv(name, value)
        yield


def start_serve() -> str:
    """One proxy, on the head; its URL."""
    port = free_port()
    serve.start(
        proxy_location=ProxyLocation.HeadOnly,
        http_options=HTTPOptions(host="127.0.0.1", port=port),
        logging_config=LoggingConfig(log_level="WARNING", enable_access_log=False),
    )
    return f"http://127.0.0.1:{port}"


def deploy(**changes: Any) -> None:
    """As `serve deploy` does, from a declaration; returns when all replicas run."""
    application = {
        "name": APP_NAME,
        "import_path": "tests.deployment.cluster_app:build_app",
        "args": {**ARGS, **changes},
        "logging_config": {"log_level": "WARNING", "enable_access_log": False},
    }
    client = _get_global_client()
    assert client is not None
    client.deploy_apps(ServeDeploySchema.model_validate({"applications": [application]}))
    until(lambda: serve.status().applications[APP_NAME].status == "RUNNING", 120.0, "the application runs")


def num_replicas() -> int:
    engine = serve.status().applications[APP_NAME].deployments.get(ENGINE_NAME)
    return engine.replica_states.get("RUNNING", 0) if engine else 0  # type: ignore[call-overload]


def until(is_so: Callable[[], bool], timeout_s: float, what: str) -> float:
    started_s = time.monotonic()
    while not is_so():
        assert time.monotonic() - started_s < timeout_s, f"not within {timeout_s} s: {what}; {serve.status()}"
        time.sleep(0.1)
    return time.monotonic() - started_s


class Load:
    """Clients that ask one request after another until they are told to stop, and judge each answer."""

    def __init__(self, url: str, num_clients: int) -> None:
        self._url, self._num_clients = url, num_clients
        self._is_over = False
        self.outcomes: Counter[str] = Counter()
        self.unexplained: list[str] = []

    async def while_(self, action: Callable[[], None]) -> None:
        """The load, while `action` runs in a thread."""
        clients = [asyncio.create_task(self._client(number)) for number in range(self._num_clients)]
        try:
            await asyncio.to_thread(action)
        finally:
            self._is_over = True
            await asyncio.wait_for(asyncio.gather(*clients), 60.0)

    async def _client(self, number: int) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=30.0) as client:
            for turn in range(10_000):
                if self._is_over:
                    return
                outcome = await self._ask(client, f"client {number} turn {turn}")
                self.outcomes[outcome] += 1
                if outcome in ("429", "503"):
                    await asyncio.sleep(0.3)

    async def _ask(self, client: httpx.AsyncClient, text: str) -> str:
        body = {"input": text, "seed": 3, "response_format": "pcm"}
        try:
            answer = await client.post(ROUTE, json=body)
        except httpx.RemoteProtocolError:
            return "cut"
        except httpx.TransportError as error:
            self.unexplained.append(repr(error))
            return "error"
        if answer.status_code == 200:
            samples = sine_for(one_turn(text, "en", seed=3))
            for version, gain in GAIN.items():
                if answer.content == to_int16_bytes((samples * np.float32(gain)).astype(np.float32)):
                    return version
            return "wrong"
        if answer.status_code not in (429, 503) or "retry-after" not in answer.headers:
            self.unexplained.append(answer.text)
            return "error"
        if answer.status_code == 503:
            self.unexplained.append(answer.text)
        return str(answer.status_code)


def report(capsys: pytest.CaptureFixture[str], what: str, outcomes: Counter[str], **facts: float) -> None:
    with capsys.disabled():
        numbers = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        print(f"\n{what}: {numbers}", *(f"{name}={value:.1f}" for name, value in facts.items()))  # noqa: T201
