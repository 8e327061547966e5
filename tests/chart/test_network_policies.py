"""Who may speak to whom: the policies are applied here as Kubernetes would, to the pods of the chart and strangers."""

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from helm.manifests import NAMESPACE, manifests
from tests.chart.support import NAMES, Manifest, all_pods, objects, of_kind

NAMESPACE_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Peer:
    """A pod, or an address outside (`labels` None)."""

    namespace: str = "elsewhere"
    labels: tuple[tuple[str, str], ...] | None = ()
    address: str = "10.9.8.7"


ANYONE = Peer()
OPERATOR = Peer("kuberay-system", (("app.kubernetes.io/name", "kuberay-operator"),))
PROMETHEUS = Peer("monitoring", (("app", "prometheus"),))
NGINX = Peer("ingress-nginx")
INTERNET = Peer(labels=None, address="93.184.216.34")


def pod(found: list[Manifest], component: str) -> Peer:
    return Peer(NAMESPACE, tuple(all_pods(found)[component]["metadata"]["labels"].items()))


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    expressions = selector.get("matchExpressions", [])
    assert {each["operator"] for each in expressions} <= {"In"}
    return wanted and all(labels.get(each["key"]) in each["values"] for each in expressions)


def is_peer(rule: dict[str, Any], other: Peer) -> bool:
    if "ipBlock" in rule:
        return ip_address(other.address) in ip_network(rule["ipBlock"]["cidr"])
    if other.labels is None:
        return False
    in_namespace = (
        matches(rule["namespaceSelector"], {NAMESPACE_LABEL: other.namespace})
        if "namespaceSelector" in rule
        else other.namespace == NAMESPACE
    )
    return in_namespace and matches(rule.get("podSelector", {}), dict(other.labels))


def is_allowed(found: list[Manifest], direction: str, of: Peer, other: Peer, port: int, protocol: str = "TCP") -> bool:
    """Kubernetes' rule: with no policy for a pod all is open; with any, what one of them allows."""
    policies = [
        each["spec"]
        for each in of_kind(found, "NetworkPolicy")
        if direction in each["spec"]["policyTypes"] and matches(each["spec"]["podSelector"], dict(of.labels or ()))
    ]
    assert policies, "no policy selects this pod"
    key, side = direction.lower(), "from" if direction == "Ingress" else "to"
    rules = [rule for policy in policies for rule in policy.get(key, [])]
    return any(
        ("ports" not in rule or {"protocol": protocol, "port": port} in rule["ports"])
        and (side not in rule or any(is_peer(each, other) for each in rule[side]))
        for rule in rules
    )


def calls(found: list[Manifest], component: str, other: Peer, port: int) -> bool:
    return is_allowed(found, "Ingress", pod(found, component), other, port)


def reaches(found: list[Manifest], component: str, other: Peer, port: int, protocol: str = "TCP") -> bool:
    return is_allowed(found, "Egress", pod(found, component), other, port, protocol)


@pytest.mark.parametrize(
    ("component", "port", "allowed"),
    [
        ("engine", 8000, {"anyone", "operator", "prometheus", "nginx", "engine", "head", "test"}),
        ("ingress", 8000, {"anyone", "operator", "prometheus", "nginx", "engine", "head", "test"}),
        ("head", 8000, {"operator", "engine", "head"}),
        ("head", 6379, {"engine", "head"}),
        ("head", 10001, {"engine", "head"}),
        ("head", 8265, {"operator", "engine", "head"}),
        ("head", 52365, {"operator", "engine", "head"}),
        ("head", 8080, {"prometheus", "engine", "head"}),
        ("head", 44217, {"prometheus", "engine", "head"}),
        ("head", 44227, {"prometheus", "engine", "head"}),
        ("engine", 8080, {"prometheus", "engine", "head"}),
        ("engine", 20000, {"engine", "head"}),
    ],
)
def test_ray_is_closed_to_all_but_who_needs_it(component: str, port: int, allowed: set[str]) -> None:
    found = objects("minimal")
    others = {"anyone": ANYONE, "operator": OPERATOR, "prometheus": PROMETHEUS, "nginx": NGINX}
    others |= {each: pod(found, each) for each in ("engine", "head", "test")}
    assert {name for name, other in others.items() if calls(found, component, other, port)} == allowed


def test_only_named_clients_may_call_where_some_are_named() -> None:
    found = objects("gateway")
    assert calls(found, "ingress", NGINX, 8000)
    assert calls(found, "ingress", Peer("gateways"), 8000)
    assert calls(found, "ingress", pod(found, "test"), 8000)
    assert not calls(found, "ingress", ANYONE, 8000)
    assert not calls(found, "ingress", INTERNET, 8000)


@pytest.mark.parametrize("name", ["deployment", "deployment-hpa", "deployment-keda"])
def test_plain_pods_are_open_for_http_and_prometheus(name: str) -> None:
    found = objects(name)
    assert calls(found, "server", ANYONE, 8000)
    assert calls(found, "server", PROMETHEUS, 9464)
    assert not calls(found, "server", ANYONE, 9464)


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_finds_names_and_each_other(name: str) -> None:
    found = objects(name)
    components = list(all_pods(found))
    for component in components:
        assert reaches(found, component, ANYONE, 53, "UDP")
        assert reaches(found, component, pod(found, components[0]), 12345)


@pytest.mark.parametrize(
    ("name", "fetching"),
    [
        ("minimal", set()),
        ("gpu-xtts", {"download"}),
        ("gpu-shared", {"engine"}),
        ("hostpath", {"engine"}),
        ("baked", set()),
        ("tuned", set()),
        ("models", {"download"}),
        ("deployment-keda", {"download"}),
        ("finetune-job", {"finetune"}),
        ("finetune-rayjob", set()),
    ],
)
def test_only_who_fetches_weights_reaches_the_hub(name: str, fetching: set[str]) -> None:
    found = objects(name)
    assert {each for each in all_pods(found) if each != "head" and reaches(found, each, INTERNET, 443)} == fetching
    assert [each for each in all_pods(found) if reaches(found, each, INTERNET, 80)] == []


@pytest.mark.parametrize(
    ("name", "port", "users"), [("object-store", 9000, {"engine", "ingress"}), ("deployment-hpa", 443, {"server"})]
)
def test_who_keeps_voices_reaches_the_object_store_where_there_is_one(name: str, port: int, users: set[str]) -> None:
    found = objects(name)
    assert {each for each in all_pods(found) if each != "head" and reaches(found, each, INTERNET, port)} == users
    assert not any(reaches(found, each, INTERNET, 80) for each in users)
    assert not reaches(objects("cpu"), "engine", INTERNET, port)


def test_head_reaches_the_kubernetes_api_only_for_its_autoscaler() -> None:
    api = Peer(labels=None, address="10.0.0.1")
    assert reaches(objects("minimal"), "head", api, 6443)
    assert reaches(objects("everything"), "head", api, 443)
    assert not reaches(objects("everything"), "head", INTERNET, 443)
    assert not reaches(objects("gcs-ft"), "head", api, 443)


def test_head_reaches_redis() -> None:
    assert reaches(objects("gcs-ft"), "head", ANYONE, 6380)
    assert not reaches(objects("gcs-ft"), "engine", ANYONE, 6380)
    assert reaches(objects("everything"), "head", ANYONE, 6379)
    assert not reaches(objects("minimal"), "head", ANYONE, 6379)


def test_operator_reaches_the_head_of_a_rayjob() -> None:
    found = objects("finetune-rayjob")
    assert calls(found, "finetune", OPERATOR, 8265)
    assert not calls(found, "finetune", ANYONE, 8265)


def test_collectors_of_traces_can_be_added() -> None:
    assert reaches(objects("everything"), "engine", ANYONE, 4318)
    assert not reaches(objects("minimal"), "engine", ANYONE, 4318)


def test_policies_can_be_left_out() -> None:
    assert of_kind(manifests({"networkPolicy": {"enabled": False}}), "NetworkPolicy") == []
