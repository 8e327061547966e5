"""Custom resources: closed schemas of our own, and KubeRay's definitions where they are at hand."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.chart.support import NAMES, SHARED, Manifest, closed, names_with, objects, of_kind, one

SCHEMAS = yaml.safe_load((Path(__file__).parent / "custom_resources.yaml").read_text(encoding="utf-8"))
KINDS = ("RayService", "RayJob", "PodMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute")
DEFINITIONS = {"RayService": "ray.io_rayservices.yaml", "RayJob": "ray.io_rayjobs.yaml"}


def schema_of(kind: str) -> dict[str, Any]:
    return {**SCHEMAS, "$ref": f"#/$defs/{kind}"}


@pytest.mark.parametrize("name", NAMES)
def test_custom_resources_have_no_field_but_ours(name: str) -> None:
    for each in objects(name):
        if each["kind"] in KINDS:
            jsonschema.Draft202012Validator(schema_of(each["kind"])).validate(each)


@pytest.mark.parametrize("kind", KINDS)
def test_every_custom_kind_is_rendered_by_some_values(kind: str) -> None:
    assert names_with(kind)


def test_a_wrong_field_would_be_found() -> None:
    rayservice = one(objects("minimal"), "RayService")
    rayservice["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["minReplica"] = 1
    with pytest.raises(jsonschema.ValidationError, match="minReplica"):
        jsonschema.validate(rayservice, schema_of("RayService"))


@cache
def definition(kind: str) -> dict[str, Any]:
    """KubeRay's schema of a kind's newest version."""
    path = SHARED / "kuberay" / DEFINITIONS[kind]
    if not path.is_file():
        pytest.skip("KubeRay's definitions are not at hand (../shared/kuberay)")
    versions = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["spec"]["versions"]
    (found,) = [each["schema"]["openAPIV3Schema"] for each in versions if each["name"] == "v1"]
    return without_required_defaults(found)


def without_required_defaults(schema: Any) -> Any:
    """The API server fills in defaults before it asks for what is required."""
    if isinstance(schema, list):
        return [without_required_defaults(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: without_required_defaults(value) for key, value in schema.items()}
    if isinstance(required := found.get("required"), list):
        properties = found.get("properties", {})
        found["required"] = [name for name in required if "default" not in properties.get(name, {})]
    return found


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_kuberay_knows_every_field(kind: str) -> None:
    validator = jsonschema.Draft202012Validator(closed_at_top(definition(kind)))
    for name in names_with(kind):
        for each in of_kind(objects(name), kind):
            validator.validate(each)


def closed_at_top(schema: dict[str, Any]) -> dict[str, Any]:
    """Closed, but for what the API server leaves open: an object's own metadata, which it defines elsewhere."""
    found = closed(schema)
    found["properties"]["metadata"] = {"type": "object"}
    opened_metadata(found)
    return found


def opened_metadata(node: Any) -> None:
    for key, value in node.items() if isinstance(node, dict) else ():
        if key == "metadata" and isinstance(value, dict) and value.get("type") == "object":
            value.pop("additionalProperties", None)
        opened_metadata(value)
    for each in node if isinstance(node, list) else ():
        opened_metadata(each)


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_our_schema_names_only_fields_of_kuberays_types(kind: str) -> None:
    theirs = definition(kind)
    for path, ours in fields(SCHEMAS["$defs"][kind], ()):
        if path[0] == "spec":
            assert type_at(theirs, path) == ours, ".".join(path)


def fields(schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Path → type of every field that a schema of ours names."""
    if reference := schema.get("$ref"):
        schema = SCHEMAS["$defs"][reference.rpartition("/")[2]]
    if path and "type" in schema:
        yield path, schema["type"]
    for name, each in schema.get("properties", {}).items():
        yield from fields(each, (*path, name))
    if "items" in schema:
        yield from fields(schema["items"], (*path, "[]"))


def type_at(schema: dict[str, Any], path: tuple[str, ...]) -> str:
    for name in path:
        schema = schema["items"] if name == "[]" else schema["properties"][name]
    return str(schema["type"])


def test_kuberays_definition_refuses_what_is_wrong() -> None:
    rayservice: Manifest = one(objects("minimal"), "RayService")
    rayservice["spec"]["rayClusterConfig"]["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0
    with pytest.raises(jsonschema.ValidationError, match="0 is not of type 'string'"):
        jsonschema.validate(rayservice, closed_at_top(definition("RayService")))
