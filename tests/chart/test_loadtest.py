"""Locust in the cluster: off unless asked for, and then a master, its workers, and nothing that others can reach."""

from typing import Any

import pytest

from helm.manifests import ROOT, manifests
from tests.chart.support import NAMES, all_pods, environment, objects, of_kind
from tests.chart.test_network_policies import ANYONE, INTERNET, NGINX, calls, pod, reaches
from tests.chart.test_values import schema

ON = {"loadTest": {"enabled": True}}


def container(found: list[dict[str, Any]], role: str) -> dict[str, Any]:
    (each,) = all_pods(found)[f"load-{role}"]["spec"]["containers"]
    return each


def test_it_is_off_unless_asked_for() -> None:
    assert [name for name in NAMES if "load-master" in all_pods(objects(name))] == ["loadtest"]


def test_workers_find_the_master_and_run_the_same_users() -> None:
    found = objects("loadtest")
    master, worker = container(found, "master")["args"], container(found, "worker")["args"]
    (service,) = [each for each in of_kind(found, "Service") if each["metadata"]["name"].endswith("-load-master")]
    assert worker[worker.index("--master-host") + 1] == service["metadata"]["name"]
    assert service["spec"]["selector"].items() <= all_pods(found)["load-master"]["metadata"]["labels"].items()
    assert master[:5] == worker[:5] and worker[3:5] == ["--host", "http://xtts-serve:8100"]
    assert master[-2:] == worker[-2:] == ["StreamingUser", "LeavingUser"]
    assert worker[2] == "loadtest/locustfile.py,loadtest/shapes/storm.py"
    assert "--autostart" in master and "--autostart" not in worker


def test_as_many_workers_as_asked_for_and_one_master() -> None:
    replicas = {
        each["metadata"]["name"]: each["spec"]["replicas"] for each in of_kind(objects("loadtest"), "Deployment")
    }
    assert replicas == {"xtts-serve-load-master": 1, "xtts-serve-load-worker": 3}


@pytest.mark.parametrize("mode", ["rayservice", "deployment"])
def test_only_workers_reach_the_master_and_the_service(mode: str) -> None:
    clients = {"networkPolicy": {"clients": [{"namespaceSelector": {}}]}}
    found = manifests({"mode": mode, **ON, **clients})
    assert calls(found, "load-master", pod(found, "load-worker"), 5557)
    assert not calls(found, "load-master", ANYONE, 5557)
    assert not calls(found, "load-master", NGINX, 8089)
    assert not calls(found, "load-worker", ANYONE, 8089)
    server = "server" if mode == "deployment" else "ingress"
    assert calls(found, server, pod(found, "load-worker"), 8000)
    assert not reaches(found, "load-worker", INTERNET, 443)


def test_key_comes_from_a_secret_where_there_is_one() -> None:
    assert "LOADTEST_API_KEY" in environment(container(objects("loadtest"), "worker"))
    assert "LOADTEST_API_KEY" not in environment(container(manifests(ON), "worker"))


def test_another_service_can_be_loaded() -> None:
    found = manifests({"loadTest": {"enabled": True, "host": "https://tts.example.com"}})
    assert container(found, "worker")["args"][4] == "https://tts.example.com"


def test_every_shape_is_a_file() -> None:
    files = {path.stem for path in (ROOT / "loadtest" / "shapes").glob("*.py")} - {"__init__", "plans", "planned"}
    assert set(schema()["properties"]["loadTest"]["properties"]["shape"]["enum"]) == files | {"none"}
