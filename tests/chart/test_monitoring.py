"""Scaling, scraping and routing: what they name exists."""

import json
import re
from typing import Any

import promql_parser
import pytest
import yaml

from helm.manifests import CHART, manifests
from serve_app.metrics import ALL
from tests.chart.support import NAMES, all_pods, ci_values, names_with, objects, of_kind, one

METRICS = {metric.name for metric in ALL}
ALERTS = CHART / "files" / "alerts.yaml"
DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))


def selectors(expression: Any) -> list[Any]:
    """Every vector selector of a parsed expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        return [expression]
    parts = [getattr(expression, name, None) for name in ("lhs", "rhs", "expr")]
    return [each for part in parts if part is not None for each in selectors(part)]


@pytest.mark.parametrize("ray", [True, False])
def test_keda_asks_for_metrics_that_there_are_of_pods_that_there_are(ray: bool) -> None:
    values = {**ci_values("deployment-keda")}
    values["deployment"] = {**values["deployment"], "ray": ray}
    found = manifests(values)
    scaled = one(found, "ScaledObject")["spec"]
    asked = [s for trigger in scaled["triggers"] for s in selectors(promql_parser.parse(trigger["metadata"]["query"]))]
    prefix = "ray_" if ray else ""
    names = {each.name for each in asked}
    assert names == {
        f"{prefix}xtts_{each}" for each in ("slots_used", "sentences_waiting", "slots", "oldest_wait_seconds")
    }
    assert {each.removeprefix(prefix) for each in names} <= METRICS
    deployment = one(found, "Deployment")["metadata"]["name"]
    for each in asked:
        labels = {matcher.name: matcher.value for matcher in each.matchers.matchers}
        assert labels == {"namespace": "xtts", "pod": f"{deployment}-.*"}
    assert scaled["scaleTargetRef"]["name"] == deployment
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (1, 8)
    assert [each["metadata"]["threshold"] for each in scaled["triggers"]] == ["0.75", "1.5"]


def test_hpa_scales_the_deployment_between_the_bounds() -> None:
    found = objects("deployment-hpa")
    spec = one(found, "HorizontalPodAutoscaler")["spec"]
    assert spec["scaleTargetRef"]["name"] == one(found, "Deployment")["metadata"]["name"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 5)
    targets = {each["pods"]["metric"]["name"]: each["pods"]["target"]["averageValue"] for each in spec["metrics"]}
    assert targets == {"xtts_slots_wanted_by_slot": "600m", "ray_xtts_oldest_wait_seconds": "2000m"}
    rules = (CHART.parents[1] / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    assert "as: xtts_slots_wanted_by_slot" in rules


def test_documented_values_and_rules_are_right() -> None:
    """The page's YAML: values that render, and queries that are PromQL once the adapter has filled them in."""
    page = (CHART.parents[1] / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    *values, rules = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)]
    assert len(values) == 2
    for each in values:
        assert one(manifests(each), "RayService")
    for rule in rules["rules"]["custom"]:
        query = rule["metricsQuery"].replace("<<.GroupBy>>", "pod").replace("<<.LabelMatchers>>", 'namespace="a"')
        promql_parser.parse(query.replace("<<.Series>>", "ray_xtts_oldest_wait_seconds"))


@pytest.mark.parametrize("name", NAMES)
def test_only_one_thing_scales(name: str) -> None:
    kinds = [each["kind"] for each in objects(name)]
    assert kinds.count("HorizontalPodAutoscaler") + kinds.count("ScaledObject") <= (0 if "RayService" in kinds else 1)


@pytest.mark.parametrize("name", names_with("PodMonitor"))
def test_prometheus_scrapes_every_pod_once_on_ports_that_it_has(name: str) -> None:
    found = objects(name)
    pods = {each: pod for each, pod in all_pods(found).items() if each in ("head", "engine", "ingress", "server")}
    for component, pod in pods.items():
        labels = pod["metadata"]["labels"].items()
        monitors = [
            each["spec"]
            for each in of_kind(found, "PodMonitor")
            if each["spec"]["selector"]["matchLabels"].items() <= labels
        ]
        assert len(monitors) == 1, component
        ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        assert {each["port"] for each in monitors[0]["podMetricsEndpoints"]} <= ports


@pytest.mark.skipif(not ALERTS.is_file(), reason="this copy of the chart has no alerts")
def test_alerts_arrive_as_they_are() -> None:
    rule = one(objects("everything"), "PrometheusRule")
    assert rule["spec"] == yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    assert rule["metadata"]["labels"]["release"] == "prometheus"


@pytest.mark.skipif(not DASHBOARDS, reason="this copy of the chart has no dashboards")
def test_dashboards_arrive_as_they_are() -> None:
    maps = of_kind(objects("everything"), "ConfigMap")
    arrived = {name: text for each in maps for name, text in each["data"].items()}
    assert set(arrived) == {path.name for path in DASHBOARDS}
    for path in DASHBOARDS:
        assert json.loads(arrived[path.name]) == json.loads(path.read_text(encoding="utf-8"))
    assert {each["metadata"]["labels"]["grafana_dashboard"] for each in maps} == {"1"}


def test_chart_without_its_files_renders(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    shutil.copytree(CHART, tmp_path / "chart", ignore=shutil.ignore_patterns("files"))
    monkeypatch.setattr("helm.manifests.CHART", tmp_path / "chart")
    found = manifests(ci_values("everything"))
    assert of_kind(found, "PrometheusRule") == of_kind(found, "ConfigMap") == []


@pytest.mark.parametrize("name", ["gateway", "everything"])
def test_routes_lead_to_the_service_without_buffers_and_short_timeouts(name: str) -> None:
    found = objects(name)
    service = one(found, "RayService")["spec"]["serveService"]
    target = (service["metadata"]["name"], service["spec"]["ports"][0]["port"])
    ingress = one(found, "Ingress")
    for rule in ingress["spec"]["rules"]:
        (path,) = rule["http"]["paths"]
        assert (path["backend"]["service"]["name"], path["backend"]["service"]["port"]["number"]) == target
    nginx = {each.rpartition("/")[2]: value for each, value in ingress["metadata"]["annotations"].items()}
    assert (nginx["proxy-buffering"], nginx["proxy-request-buffering"], nginx["proxy-body-size"]) == ("off", "off", "0")
    assert int(nginx["proxy-read-timeout"]) >= 180  # clients of the first server wait so long
    (rule,) = one(found, "HTTPRoute")["spec"]["rules"]
    assert [(each["name"], each["port"]) for each in rule["backendRefs"]] == [target]
    assert int(rule["timeouts"]["request"].removesuffix("s")) >= 180
