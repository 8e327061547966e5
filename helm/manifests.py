"""The chart as manifests: rendered for tests, for scanners, and into k8s/ (`python helm/manifests.py`).

Rendered in this process by Helm's own library; no cluster is asked.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm" / "xtts-serve"
K8S = ROOT / "k8s"
NAMESPACE = "xtts"
NOT_MANIFESTS = ("NOTES.txt", ".tpl")
ACCEPTED = ("accept_cpml: true", '"XTTS_ACCEPT_CPML", "value": "true"')  # as YAML in JSON, and as JSON
HEADER = "# Made from helm/xtts-serve and values/{preset}.yaml by `make k8s`; changes here are lost.\n"

Manifest = dict[str, Any]


def read_values(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def rendered(values: dict[str, Any], release: str = "xtts-serve", namespace: str = NAMESPACE) -> dict[str, str]:
    """Template → its text. Raises helm_python.HelmError where values or templates are wrong."""
    with Chart.load(CHART) as chart:
        chart.validate_schema(values)
        return chart.render(values, name=release, namespace=namespace)


def manifests(values: dict[str, Any], release: str = "xtts-serve", namespace: str = NAMESPACE) -> list[Manifest]:
    """Every object of a release, the pods of `helm test` included."""
    texts = rendered(values, release, namespace)
    return [
        each for name, text in sorted(texts.items()) if not name.endswith(NOT_MANIFESTS) for each in _documents(text)
    ]


def _documents(text: str) -> Iterator[Manifest]:
    yield from (document for document in yaml.safe_load_all(text) if document)


def ray_templates(manifest: Manifest) -> list[dict[str, Any]]:
    """The pod templates inside a RayService or a RayJob, the head's first."""
    spec = manifest.get("spec", {})
    cluster = spec.get("rayClusterConfig") or spec.get("rayClusterSpec") or {}
    groups = [cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", [])] if cluster else []
    return [each["template"] for each in groups]


def as_pod(template: dict[str, Any]) -> Manifest:
    """A pod template as Kubernetes would see the pod."""
    labels = template["metadata"]["labels"]
    metadata = {
        "name": labels["app.kubernetes.io/component"],
        "namespace": NAMESPACE,
        **template["metadata"],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def presets() -> list[str]:
    return sorted(path.stem for path in (K8S / "values").glob("*.yaml"))


def preset_text(preset: str) -> str:
    """The plain manifests of a preset, without what only Helm can use."""
    objects = [plain(each) for each in manifests(read_values(K8S / "values" / f"{preset}.yaml")) if not _is_hook(each)]
    return HEADER.format(preset=preset) + "".join("---\n" + _dump(each) for each in objects)


def plain(manifest: Manifest) -> Manifest:
    """Without the labels that name Helm, and without consent to a licence: that is for who applies it."""
    text = json.dumps(manifest)
    for consent in ACCEPTED:
        text = text.replace(consent, consent.replace("true", "false"))
    plain_manifest: Manifest = json.loads(text)
    for labels in _label_sets(plain_manifest):
        for name in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
            labels.pop(name, None)
    return plain_manifest


def _label_sets(node: Any) -> Iterator[dict[str, str]]:
    for key, value in node.items() if isinstance(node, dict) else ():
        if key == "labels":
            yield value
        yield from _label_sets(value)


def _is_hook(manifest: Manifest) -> bool:
    return "helm.sh/hook" in manifest["metadata"].get("annotations", {})


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block, as a person would write it."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _dump(manifest: Manifest) -> str:
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--ci", type=Path, help="render ci/*-values.yaml into this folder instead")
    folder = arguments.parse_args().ci
    if folder is None:
        for preset in presets():
            (K8S / f"{preset}.yaml").write_text(preset_text(preset), encoding="utf-8")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((CHART / "ci").glob("*-values.yaml")):
        found = manifests(read_values(path))
        found += [as_pod(template) for each in found for template in ray_templates(each)]
        text = "".join("---\n" + _dump(each) for each in found)
        (folder / f"{path.stem.removesuffix('-values')}.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
