"""A cluster of several nodes with GPUs that are only counted: growing and shrinking, a lost node, a new version.

Every answer is judged: the audio must be a version's own, whole; what was cut must be seen to be cut.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import ray
from ray import serve
from ray.cluster_utils import Cluster
from ray.serve.config import HTTPOptions, ProxyLocation
from ray.serve.context import _get_global_client
from ray.serve.schema import LoggingConfig, ServeDeploySchema

from serve_app.audio.pcm import to_int16_bytes
from serve_app.deployment.autoscaling import REPORT_VARIABLES
from serve_app.deployment.backend import ENGINE_NAME
from serve_app.deployment.own_cluster import APP_NAME
from serve_app.deployment.proxy import PROXY_CALLBACK, PROXY_CALLBACK_VARIABLE
from serve_app.speech.request import SpeechRequest
from tests.deployment.cluster_app import GAIN
from tests.fakes import sine_for
from tests.ports import free_port

pytestmark = [pytest.mark.ray, pytest.mark.slow]

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


@pytest.fixture(scope="module")
def environment() -> Generator[None]:
    changes = {
        PROXY_CALLBACK_VARIABLE: PROXY_CALLBACK,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "1000",
        "RAY_health_check_failure_threshold": "3",
        **dict.fromkeys(REPORT_VARIABLES, "0.5"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def cluster(environment: None) -> Generator[Cluster]:
    os.environ["RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING"] = "0"
    memory = {"object_store_memory": 80 * 1024 * 1024, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, **memory})
    for _ in range(3):
        cluster.add_node(num_cpus=2, num_gpus=1, object_store_memory=memory["object_store_memory"])
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        yield cluster
    finally:
        serve.shutdown()
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture(scope="module")
def url(cluster: Cluster) -> str:
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
            samples = sine_for(SpeechRequest(text, "en", seed=3))
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


def test_fleet_grows_under_a_load_step_and_shrinks_after_it(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    deploy()
    assert num_replicas() == 1
    load = Load(url, num_clients=12)
    asyncio.run(load.while_(lambda: _grow_and_hold(3)))
    shrunk_s = until(lambda: num_replicas() == 1, 60.0, "one replica")
    _report(capsys, "load step", load.outcomes, shrunk_s=shrunk_s)
    assert set(load.outcomes) <= {"one", "429"}, load.unexplained
    assert load.outcomes["one"] > 50


def _grow_and_hold(num: int) -> None:
    until(lambda: num_replicas() == num, 90.0, f"{num} replicas")
    time.sleep(5.0)


def test_new_version_replaces_the_old_without_a_failed_request(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    deploy(min_engine_replicas=2)
    until(lambda: num_replicas() == 2, 60.0, "two replicas")
    load = Load(url, num_clients=4)

    def update() -> None:
        time.sleep(1.0)
        deploy(min_engine_replicas=2, model="two")
        time.sleep(2.0)

    asyncio.run(load.while_(update))
    after = Load(url, num_clients=2)
    asyncio.run(after.while_(lambda: time.sleep(2.0)))
    _report(capsys, "new version", load.outcomes)
    assert load.outcomes["one"] and load.outcomes["two"]
    assert set(load.outcomes) <= {"one", "two"}, load.unexplained
    assert set(after.outcomes) == {"two"}
    assert httpx.get(f"{url}/health").json()["model"] == "two"


def test_lost_node_costs_only_the_streams_it_spoke(
    cluster: Cluster, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy(min_engine_replicas=2)
    until(lambda: num_replicas() == 2, 60.0, "two replicas")
    node, pid = _a_node_with_an_engine(cluster)
    load = Load(url, num_clients=6)

    def lose() -> None:
        time.sleep(2.0)
        os.kill(pid, signal.SIGKILL)
        cluster.remove_node(node, allow_graceful=False)
        time.sleep(1.0)
        until(lambda: num_replicas() == 2, 90.0, "two replicas on the nodes that are left")
        time.sleep(2.0)

    asyncio.run(load.while_(lose))
    _report(capsys, "lost node", load.outcomes)
    assert set(load.outcomes) <= {"one", "cut", "503", "429"}, load.unexplained
    assert 1 <= load.outcomes["cut"] <= 6  # at most what it was speaking
    assert load.outcomes["one"] > 20


def _a_node_with_an_engine(cluster: Cluster) -> tuple[Any, int]:
    """And the replica's process: Ray's test cluster leaves workers of a removed node running for a while."""
    client = _get_global_client()
    assert client is not None
    engine = client.get_serve_details()["applications"][APP_NAME]["deployments"][ENGINE_NAME]
    pids = {replica["node_id"]: replica["pid"] for replica in engine["replicas"] if replica["state"] == "RUNNING"}
    return next((node, pids[node.node_id]) for node in cluster.worker_nodes if node.node_id in pids)


def _report(capsys: pytest.CaptureFixture[str], what: str, outcomes: Counter[str], **facts: float) -> None:
    with capsys.disabled():
        numbers = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        print(f"\n{what}: {numbers}", *(f"{name}={value:.1f}" for name, value in facts.items()))  # noqa: T201
