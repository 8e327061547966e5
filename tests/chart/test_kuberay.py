"""KubeRay's own rules, which no schema holds, and Ray's autoscaler's view of the groups."""

import re
import tomllib
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

from helm.manifests import CHART, manifests
from serve_app.deployment import proxy
from serve_app.deployment.own_cluster import SHUTDOWN_MARGIN_S
from serve_app.settings import make_settings
from tests.chart.support import (
    Manifest,
    application,
    ci_values,
    cluster,
    containers,
    environment,
    group,
    names_with,
    objects,
    of_kind,
    one,
    pod_templates,
    walk,
)

NAMES = names_with("RayService")
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def rayservice(name: str) -> Manifest:
    return one(objects(name), "RayService")


def node_types(found: Manifest) -> dict[str, Any]:
    """Group → bounds and resources, as Ray's autoscaler reads them from the RayCluster."""
    ray_cluster = {"metadata": {"name": "a", "namespace": "b"}, "spec": cluster(found)}
    return _derive_autoscaling_config_from_ray_cr(ray_cluster)["available_node_types"]


def num_fitting(request: dict[str, float], node: dict[str, float]) -> int:
    """Replicas that ask for `request` on a node that has `node`."""
    return int(min(node.get(name, 0.0) / amount for name, amount in request.items() if amount))


def requests(found: Manifest) -> dict[str, dict[str, float]]:
    """Deployment → what one of its replicas asks Ray for."""
    options = {each["name"]: each["ray_actor_options"] for each in application(found)["deployments"]}
    return {
        name: {"CPU": each["num_cpus"], "GPU": each.get("num_gpus", 0.0), **each["resources"]}
        for name, each in options.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_worker_groups_hold_the_replicas_that_serve_may_start(name: str) -> None:
    """Fewer would leave replicas STARTING for ever; more would be paid for and never used."""
    found = rayservice(name)
    settings = make_settings(**application(found)["args"])
    surge = {each["name"]: each.get("max_surge_percent", 0) for each in application(found)["deployments"]}["Engine"]
    bounds = {
        "engine": (settings.min_engine_replicas, ceil(settings.max_engine_replicas * (1 + surge / 100))),
        "ingress": (settings.num_ingress_replicas, settings.num_ingress_replicas),
    }
    for group_name, (least, most) in bounds.items():
        node = node_types(found)[group_name]
        per_worker = num_fitting(requests(found)[group_name.capitalize()], node["resources"])
        assert per_worker >= 1
        assert (node["min_workers"], node["max_workers"]) == (ceil(least / per_worker), ceil(most / per_worker))
        assert node["min_workers"] <= group(found, group_name)["replicas"] <= node["max_workers"]


@pytest.mark.parametrize("name", NAMES)
def test_replicas_run_nowhere_but_in_their_group(name: str) -> None:
    found = rayservice(name)
    nodes = {each: node["resources"] for each, node in node_types(found).items()}
    for deployment, request in requests(found).items():
        homes = {each for each, node in nodes.items() if num_fitting(request, node)}
        assert homes == {deployment.lower()}


@pytest.mark.parametrize(("name", "per_worker"), [("gpu-xtts", 1), ("gpu-shared", 2)])
def test_engines_share_a_gpu_only_where_asked(name: str, per_worker: int) -> None:
    found = rayservice(name)
    node = node_types(found)["engine"]["resources"]
    assert node["GPU"] == 1
    assert num_fitting(requests(found)["Engine"], node) == per_worker
    (container,) = group(found, "engine")["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize("name", NAMES)
def test_head_runs_no_replica_and_gets_no_requests(name: str) -> None:
    found = rayservice(name)
    assert found["spec"]["excludeHeadPodFromServeSvc"] is True
    assert node_types(found)["headgroup"]["resources"]["CPU"] == 0


@pytest.mark.parametrize("kind", ["RayService", "RayJob"])
def test_ray_version_is_the_images(kind: str) -> None:
    pinned = [Requirement(each) for each in tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["dependencies"]]
    (ray,) = [str(each.specifier).removeprefix("==") for each in pinned if each.name == "ray"]
    for name in names_with(kind):
        for each in walk(one(objects(name), kind)):
            if isinstance(each, dict) and "rayVersion" in each:
                assert each["rayVersion"] == ray


def test_app_version_is_the_packages() -> None:
    version = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["version"]
    assert f'appVersion: "{version}"' in (CHART / "Chart.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_new_chart_starts_no_second_cluster(name: str) -> None:
    """KubeRay starts one when anything in rayClusterConfig changes."""
    text = str(cluster(rayservice(name)))
    assert [each for each in ("helm.sh", "checksum", "app.kubernetes.io/version", "managed-by") if each in text] == []


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"max_slots": 4, "log_format": "text"}},
        {"engine": {"minReplicas": 2, "maxReplicas": 9}},
        {"monitoring": {"podMonitor": {"enabled": True}}},
        {"networkPolicy": {"enabled": False}},
        {"ingressWorkers": {"replicas": 5}},
        {"service": {"annotations": {"a": "b"}}},
    ],
)
def test_what_is_changed_in_place_leaves_the_cluster_alone(change: dict[str, Any]) -> None:
    """As KubeRay compares: replicas and their bounds do not count."""
    assert compared(one(manifests(change), "RayService")) == compared(rayservice("minimal"))


def test_what_changes_pods_is_seen_as_such() -> None:
    changed = one(manifests({"image": {"tag": "0.2.0"}}), "RayService")
    assert compared(changed) != compared(rayservice("minimal"))


def compared(found: Manifest) -> dict[str, Any]:
    config = cluster(found)
    for each in config["workerGroupSpecs"]:
        for field in ("replicas", "minReplicas", "maxReplicas"):
            del each[field]
    return config


@pytest.mark.parametrize("name", NAMES)
def test_kuberays_own_labels_are_left_to_it(name: str) -> None:
    """Its services select by app.kubernetes.io/name, and it does not overwrite ours."""
    for pod in pod_templates(rayservice(name)).values():
        labels = pod["metadata"]["labels"]
        assert [each for each in labels if each.startswith("ray.io/") or each == "app.kubernetes.io/name"] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_with_a_proxy_has_what_serve_reads(name: str) -> None:
    from serve_app.deployment.environment import SERVE_VARIABLES

    for pod in pod_templates(rayservice(name)).values():
        found = environment(pod["spec"]["containers"][0])
        assert found[proxy.PROXY_CALLBACK_VARIABLE] == proxy.PROXY_CALLBACK
        assert found.items() >= SERVE_VARIABLES.items()


@pytest.mark.parametrize("name", NAMES)
def test_autoscaled_pods_have_no_restart_policy(name: str) -> None:
    """Autoscaler v2 wants Never, and sets it."""
    for pod in pod_templates(rayservice(name)).values():
        assert "restartPolicy" not in pod["spec"]


@pytest.mark.parametrize("name", NAMES)
def test_heads_account_is_kuberays_where_the_autoscaler_needs_rights(name: str) -> None:
    head = pod_templates(rayservice(name))["head"]["spec"]
    is_autoscaled = cluster(rayservice(name))["enableInTreeAutoscaling"]
    assert is_autoscaled == (name != "gcs-ft")
    assert ("serviceAccountName" in head) is (not is_autoscaled)
    assert head.get("automountServiceAccountToken") is (None if is_autoscaled else False)


def test_autoscaling_does_not_turn_on_and_off_with_the_bounds() -> None:
    """That would change rayClusterConfig, and start a second cluster."""
    fixed = one(manifests({"engine": {"minReplicas": 2, "maxReplicas": 2}}), "RayService")
    assert cluster(fixed)["enableInTreeAutoscaling"] is True


@pytest.mark.parametrize("name", NAMES)
def test_service_leads_from_8100_to_the_workers(name: str) -> None:
    """A head port named serve would be merged into it."""
    found = rayservice(name)
    (port,) = found["spec"]["serveService"]["spec"]["ports"]
    assert (port["name"], port["targetPort"]) == ("serve", 8000)
    assert port["port"] == ci_values(name).get("service", {}).get("port", 8100)
    ports = {c: {p["name"]: p["containerPort"] for p in ray_ports(pod)} for c, pod in pod_templates(found).items()}
    assert ports["engine"]["serve"] == ports["ingress"]["serve"] == 8000
    assert "serve" not in ports["head"]
    assert {each["metrics"] for each in ports.values()} == {8080}


def ray_ports(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return pod["spec"]["containers"][0]["ports"]


@pytest.mark.parametrize("name", NAMES)
def test_probes_are_left_to_kuberay(name: str) -> None:
    for pod in pod_templates(rayservice(name)).values():
        assert [key for each in containers(pod) for key in each if key.endswith("Probe")] == []


@pytest.mark.parametrize("name", NAMES)
def test_streams_may_end_before_pods_and_clusters_do(name: str) -> None:
    """Longest speech < what the hook waits at most < the pod's grace; the old cluster outlives both."""
    found = rayservice(name)
    longest_s = make_settings(**application(found)["args"]).shutdown_timeout_s
    for component, pod in pod_templates(found).items():
        if component == "head":
            continue
        (container,) = pod["spec"]["containers"]
        hook = container["lifecycle"]["preStop"]["exec"]["command"][-1]
        seconds = [int(each) for each in re.findall(r"seq (\d+)|seconds (\d+)", hook) for each in each if each]
        assert len(seconds) == 2
        assert min(seconds) >= longest_s
        assert pod["spec"]["terminationGracePeriodSeconds"] >= max(seconds) + SHUTDOWN_MARGIN_S + 30
    assert found["spec"]["rayClusterDeletionDelaySeconds"] > longest_s


def test_drain_command_is_one_that_ray_has() -> None:
    """It is hidden and may change with Ray."""
    from click.testing import CliRunner
    from ray.scripts.scripts import cli

    hook = pod_templates(rayservice("minimal"))["engine"]["spec"]["containers"][0]["lifecycle"]["preStop"]
    options = re.findall(r"--[a-z-]+", hook["exec"]["command"][-1])
    assert options == ["--reason", "--reason-message", "--deadline-remaining-seconds"]
    known = CliRunner().invoke(cli, ["drain-node", "--help"]).output
    assert [each for each in (*options, "DRAIN_NODE_REASON_PREEMPTION") if each not in known] == []


def test_state_of_the_head_is_kept_by_redis_with_a_secret() -> None:
    options = cluster(rayservice("gcs-ft"))["gcsFaultToleranceOptions"]
    assert options["redisAddress"] == "redis://redis.data.svc:6380"
    assert options["redisPassword"]["valueFrom"]["secretKeyRef"] == {"name": "redis", "key": "password"}
    forbidden = {"RAY_REDIS_ADDRESS", "REDIS_PASSWORD", "REDIS_USERNAME", "RAY_enable_autoscaler_v2"}
    for name in NAMES:
        assert forbidden & set(environment(pod_templates(rayservice(name))["head"]["spec"]["containers"][0])) == set()


@pytest.mark.parametrize("name", NAMES)
def test_disruption_budgets_are_whole_numbers_of_pods(name: str) -> None:
    """KubeRay's pods have no scale, so Kubernetes counts only a whole minAvailable for them."""
    budgets = {
        each["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]: each["spec"]
        for each in of_kind(objects(name), "PodDisruptionBudget")
    }
    found = rayservice(name)
    for component in pod_templates(found):
        assert "maxUnavailable" not in budgets[component]
        num_pods = 1 if component == "head" else group(found, component)["minReplicas"]
        assert budgets[component]["minAvailable"] == max(1, num_pods - 1)
        assert budgets[component]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_rayjob_runs_the_command_in_its_own_cluster() -> None:
    spec = one(objects("finetune-rayjob"), "RayJob")["spec"]
    assert spec["entrypoint"].startswith("python -m serve_app finetune --data /data/finetune/recordings --output ")
    assert spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["restartPolicy"] == "Never"  # SidecarMode's rule
    assert spec["shutdownAfterJobFinishes"] is True
