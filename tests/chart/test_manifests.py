"""Every values file of ci/ renders, lints without a warning, and is valid Kubernetes, field by field."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest

from helm.manifests import CHART, NAMESPACE, as_pod, manifests, preset_text, presets, ray_templates, rendered
from helm.manifests import K8S as K8S_FOLDER
from tests.chart.support import (
    CI_FILES,
    NAMES,
    Manifest,
    ci_values,
    containers,
    objects,
    one,
    pod_templates,
    walk,
)

KUBERNETES_VERSIONS = ("1.29", "1.33", "1.37")
CUSTOM_KINDS = {"RayService", "RayJob", "PodMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute"}
WARNING = 2
LOAD = ("load-master", "load-worker")  # of an image of their own


def built_ins(found: list[Manifest]) -> list[Manifest]:
    """What Kubernetes itself knows: objects, and the pods and services inside custom ones."""
    own = [each for each in found if each["kind"] not in CUSTOM_KINDS]
    custom = [each for each in found if each["kind"] in CUSTOM_KINDS]
    pods = [as_pod(template) for each in custom for template in ray_templates(each)]
    services = [
        {"apiVersion": "v1", "kind": "Service", **each["spec"]["serveService"]}
        for each in custom
        if each["kind"] == "RayService"
    ]
    return [*own, *pods, *services]


def test_ci_covers_every_variant() -> None:
    """Each choice that a value names is made by some file."""
    made = {str(each) for name in NAMES for each in walk(ci_values(name)) if not isinstance(each, dict | list)}
    schema = walk(_schema())
    choices = {str(choice) for each in schema if isinstance(each, dict) for choice in each.get("enum", [])}
    defaults = {str(each) for each in walk(_defaults()) if not isinstance(each, dict | list)}
    unused = {"Always", "Never", "NodePort", "ReadOnlyMany", "ReadWriteOnce", "ReadWriteOncePod", "4", "8"}
    unused |= {"auto", "float32", "bfloat16", "float16", "int8"}  # handed on to the service as they are
    unused |= {"ramp", "step", "spike", "soak"}  # each is a file's name: tests/chart/test_loadtest.py
    assert choices - made - defaults - unused == set()


def _schema() -> dict[str, Any]:
    with helm_python.Chart.load(CHART) as chart:
        assert chart.schema is not None
        return chart.schema


def _defaults() -> dict[str, Any]:
    with helm_python.Chart.load(CHART) as chart:
        return chart.values


@pytest.mark.parametrize("path", CI_FILES, ids=NAMES)
def test_values_file_lints_without_a_warning(path: Path) -> None:
    report = helm_python.lint(CHART, ci_values(path.stem.removesuffix("-values")), strict=True)
    assert report["errors"] == []
    assert [each for each in report["messages"] if each["severity"] >= WARNING] == []


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_known_to_kubernetes(name: str, version: str) -> None:
    """`validate` raises for a kind it does not know, too."""
    for each in built_ins(objects(name)):
        validate_once(json.dumps(each), version)


@cache
def validate_once(manifest: str, version: str) -> None:
    """Most objects of one values file are those of another."""
    kubernetes_validate.validate(json.loads(manifest), version, strict=True)


def test_an_unknown_field_or_kind_would_be_found() -> None:
    deployment = one(objects("deployment"), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(deployment, KUBERNETES_VERSIONS[0], strict=True)
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate({**deployment, "kind": "Deplyoment"}, KUBERNETES_VERSIONS[0], strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_no_two_objects_share_a_name(name: str) -> None:
    keys = [(each["kind"], each["metadata"]["name"]) for each in objects(name)]
    assert len(keys) == len(set(keys))
    assert {each["metadata"]["namespace"] for each in objects(name)} == {NAMESPACE}


@pytest.mark.parametrize("name", NAMES)
def test_images_are_ours(name: str) -> None:
    pods = {component: pod for each in objects(name) for component, pod in pod_templates(each).items()}
    images = {c["image"] for component, pod in pods.items() if component not in LOAD for c in containers(pod)}
    assert len(images) == 1
    assert images.pop().startswith(("xtts-serve:0.1.0", "registry.example.com/xtts-serve@sha256:"))


@pytest.mark.parametrize("release", ["x", "a-release-name-of-fifty-three-characters-is-the-longest"[:53]])
def test_names_fit_whatever_the_release_is_called(release: str) -> None:
    for name in ("everything", "finetune-rayjob", "deployment-keda"):
        found = manifests(ci_values(name), release=release)
        assert {each["metadata"]["name"] for each in found if len(each["metadata"]["name"]) > 63} == set()
        ray = [each for each in found if each["kind"] in ("RayService", "RayJob")]
        assert [each["metadata"]["name"] for each in ray if len(each["metadata"]["name"]) > 47] == []  # KubeRay's bound


@pytest.mark.parametrize("name", NAMES)
def test_notes_name_the_service(name: str) -> None:
    (notes,) = [text for path, text in rendered(ci_values(name)).items() if path.endswith("NOTES.txt")]
    port = ci_values(name).get("service", {}).get("port", 8100)
    assert f"http://127.0.0.1:{port}/v1/audio/speech" in notes
    assert ("is let in" in notes) == ("apiKeys" not in ci_values(name))


@pytest.mark.parametrize("preset", presets())
def test_plain_manifests_are_the_charts(preset: str) -> None:
    found = (K8S_FOLDER / f"{preset}.yaml").read_text(encoding="utf-8")
    assert found == preset_text(preset), "make k8s writes them anew"


def test_every_plain_manifest_has_values() -> None:
    assert {path.stem for path in K8S_FOLDER.glob("*.yaml")} == set(presets())
    assert len(presets()) >= 2
