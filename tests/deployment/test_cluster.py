"""A cluster of several nodes with GPUs that are only counted: growing and shrinking, a lost node, a new version.

Every answer is judged: the audio must be a version's own, whole; what was cut must be seen to be cut.
"""

import asyncio
import os
import signal
import time
from collections.abc import Generator
from typing import Any

import httpx
import pytest
import ray
from ray import serve
from ray.cluster_utils import Cluster
from ray.serve.context import _get_global_client

from serve_app.deployment.own_cluster import APP_NAME
from serve_app.deployment.presence import ENGINE_NAME
from tests.deployment.clusters import MEMORY, Load, deploy, environment, num_replicas, report, start_serve, until

pytestmark = [pytest.mark.ray, pytest.mark.long]


@pytest.fixture(scope="module")
def cluster() -> Generator[Cluster]:
    with environment():
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False, **MEMORY})
        for _ in range(3):
            cluster.add_node(num_cpus=2, num_gpus=1, **MEMORY)
        ray.init(address=cluster.address, log_to_driver=False)
        try:
            yield cluster
        finally:
            serve.shutdown()
            ray.shutdown()
            cluster.shutdown()


@pytest.fixture(scope="module")
def url(cluster: Cluster) -> str:
    return start_serve()


def test_fleet_grows_under_a_load_step_and_shrinks_after_it(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    deploy()
    assert num_replicas() == 1
    load = Load(url, num_clients=12)
    asyncio.run(load.while_(lambda: _grow_and_hold(3)))
    shrunk_s = until(lambda: num_replicas() == 1, 60.0, "one replica")
    report(capsys, "load step", load.outcomes, shrunk_s=shrunk_s)
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
    report(capsys, "new version", load.outcomes)
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
    report(capsys, "lost node", load.outcomes)
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
