"""What the chart's tests share: each values file of ci/ rendered once, and ways to find one's way in the result."""

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from helm.manifests import CHART, manifests, ray_templates, read_values

CI_FILES = sorted((CHART / "ci").glob("*-values.yaml"))
NAMES = [path.stem.removesuffix("-values") for path in CI_FILES]
SHARED = Path(__file__).parents[2].parent / "shared"

Manifest = dict[str, Any]


def ci_values(name: str) -> dict[str, Any]:
    return read_values(CHART / "ci" / f"{name}-values.yaml")


@cache
def _objects(name: str) -> tuple[Manifest, ...]:
    return tuple(manifests(ci_values(name)))


def objects(name: str) -> list[Manifest]:
    """Of a values file in ci/."""
    return copy.deepcopy(list(_objects(name)))


def of_kind(found: list[Manifest], kind: str) -> list[Manifest]:
    return [each for each in found if each["kind"] == kind]


def one(found: list[Manifest], kind: str) -> Manifest:
    (manifest,) = of_kind(found, kind)
    return manifest


def names_with(kind: str) -> list[str]:
    """Of values files that render such an object."""
    return [name for name in NAMES if of_kind(objects(name), kind)]


def serve_config(rayservice: Manifest) -> dict[str, Any]:
    return yaml.safe_load(rayservice["spec"]["serveConfigV2"])


def application(rayservice: Manifest) -> dict[str, Any]:
    (found,) = serve_config(rayservice)["applications"]
    return found


def cluster(rayservice: Manifest) -> dict[str, Any]:
    return rayservice["spec"]["rayClusterConfig"]


def group(rayservice: Manifest, name: str) -> dict[str, Any]:
    (found,) = [each for each in cluster(rayservice)["workerGroupSpecs"] if each["groupName"] == name]
    return found


def pod_templates(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Component → pod template, whatever the kind."""
    if manifest["kind"] == "Pod":
        found = [manifest]
    elif manifest["kind"] in ("Deployment", "Job"):
        found = [manifest["spec"]["template"]]
    else:
        found = ray_templates(manifest)
    return {each["metadata"]["labels"]["app.kubernetes.io/component"]: each for each in found}


def all_pods(found: list[Manifest]) -> dict[str, dict[str, Any]]:
    """Component → pod template, of a whole release."""
    return {component: pod for each in found for component, pod in pod_templates(each).items()}


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def environment(container: dict[str, Any]) -> dict[str, Any]:
    """Name → value, or where it comes from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container.get("env", [])}


def walk(node: Any) -> Iterator[Any]:
    """Every map and list in a manifest."""
    yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(each)


def closed(schema: Any) -> Any:
    """A JSON schema that refuses every field it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and found.get("type", "object") == "object":
        found.setdefault("additionalProperties", False)
    return found
