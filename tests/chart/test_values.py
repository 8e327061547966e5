"""Values: closed, documented, and nothing that cannot run is rendered."""

from typing import Any

import helm_python
import pytest
import yaml
from jsonschema import Draft202012Validator

from helm.manifests import CHART, rendered
from helm.values_table import README, UndocumentedValue, readme_with_table, values_table
from serve_app.settings import BUCKET, MODEL_NAME, Settings
from tests.chart.support import CI_FILES, walk

# Fields of `Settings` that the chart sets from other values.
FROM_OTHER_VALUES = {
    *("device", "host", "port", "metrics_port", "api_keys_file", "model_cache", "job_dir", "voice_dir", "voice_url"),
    *("num_ingress_replicas", "min_engine_replicas", "max_engine_replicas", "num_gpus_per_engine"),
}
# Maps whose keys are the reader's or Kubernetes' own.
FREE_FORM = {"affinity", "podSecurityContext", "containerSecurityContext", "global"}
XTTS = {"settings": {"model": "xtts_v2"}}
CONSENT = {"settings": {"model": "xtts_v2", "accept_cpml": True}}


def schema() -> dict[str, Any]:
    with helm_python.Chart.load(CHART) as chart:
        assert chart.schema is not None
        return chart.schema


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


def test_schema_is_closed() -> None:
    """Every map names its keys and refuses others, holds strings or quantities, or is one of the few free ones."""

    def open_maps(node: dict[str, Any], path: tuple[str, ...]) -> list[str]:
        found = []
        if node.get("type") == "object" and node.get("additionalProperties") is None and path[-1] not in FREE_FORM:
            found.append(".".join(path))
        for name, each in node.get("properties", {}).items():
            found += open_maps(each, (*path, name))
        return found

    assert open_maps(schema(), ("",)) == []


def test_schema_and_values_name_the_same_keys() -> None:
    def keys(values: Any, node: dict[str, Any], path: str) -> list[str]:
        if "properties" not in node or path == ".settings":
            return []
        ours, theirs = set(values), set(node["properties"]) - {"global"}
        below = [
            each for name in ours & theirs for each in keys(values[name], node["properties"][name], f"{path}.{name}")
        ]
        return [f"{path}.{name}" for name in ours ^ theirs] + below

    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert keys(values, schema(), "") == []


def test_every_setting_can_be_set_in_one_place() -> None:
    assert set(schema()["properties"]["settings"]["properties"]) == set(Settings.model_fields) - FROM_OTHER_VALUES


def test_a_bucket_for_the_chart_is_one_for_the_service() -> None:
    pattern = schema()["properties"]["voices"]["properties"]["objectStore"]["properties"]["url"]["pattern"]
    assert pattern == f"^({BUCKET.pattern})?$"


def test_a_models_name_for_the_chart_is_one_for_the_service() -> None:
    models = schema()["properties"]["settings"]["properties"]["extra_models"]
    assert models["propertyNames"]["pattern"] == f"^{MODEL_NAME.pattern}$"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"engin": {}}, "engin"),
        ({"engine": {"minReplica": 2}}, "minReplica"),
        ({"engine": {"device": "gpu"}}, "device"),
        ({"engine": {"replicasPerWorker": 3}}, "replicasPerWorker"),
        ({"engine": {"resources": {"limit": {"cpu": "1"}}}}, "limit"),
        ({"engine": {"resources": {"limits": {"memory": "4GB"}}}}, "memory"),
        ({"engine": {"nodeSelector": {"gpu": True}}}, "gpu"),
        ({"settings": {"max_slot": 8}}, "max_slot"),
        ({"settings": {"min_engine_replicas": 2}}, "min_engine_replicas"),
        ({"settings": {"model": "xtts"}}, "model"),
        ({"settings": {"extra_models": {"anna": "/somewhere/else"}}}, "extra_models"),
        ({"settings": {"extra_models": {"an na": "mini"}}}, "an na"),
        ({"settings": {"extra_models": {"default": "mini"}}}, "invalid propertyName"),
        ({"mode": "statefulset"}, "mode"),
        ({"weights": {"source": "s3"}}, "source"),
        ({"rayservice": {"auth": {"mode": "none"}}}, "mode"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"service": {"port": 81000}}, "port"),
        ({"deployment": {"autoscaling": {"kind": "vpa"}}}, "kind"),
        ({"voices": {"objectStore": {"bucket": "a"}}}, "bucket"),
        ({"voices": {"objectStore": {"url": "file:///data"}}}, "url"),
        ({"voices": {"objectStore": {"url": "s3://a:b@bucket"}}}, "url"),
        ({"voices": {"objectStore": {"ports": ["https"]}}}, "ports"),
    ],
)
def test_wrong_value_is_refused_by_name(values: dict[str, Any], named: str) -> None:
    with pytest.raises(helm_python.HelmError, match=named):
        rendered(values)


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        (XTTS, "settings.accept_cpml=true"),
        ({"mode": "deployment", **XTTS}, "settings.accept_cpml=true"),
        ({"settings": {"extra_models": {"large": "xtts_v2"}}}, "settings.accept_cpml=true"),
        ({"finetune": {"kind": "job", "base": "xtts_v2", "existingClaim": "a"}}, "settings.accept_cpml=true"),
        ({"engine": {"minReplicas": 2}}, "above engine.maxReplicas"),
        ({"engine": {"maxReplicas": 2}, "rayservice": {"autoscaler": {"enabled": False}}}, "autoscaler.enabled=true"),
        (
            {"rayservice": {"auth": {"mode": "disabled"}}, "networkPolicy": {"enabled": False}},
            "networkPolicy.enabled=true",
        ),
        ({"rayservice": {"gcsFaultTolerance": {"enabled": True}}}, "redisAddress"),
        (
            {"settings": {"model": "/data/models/a"}, "weights": {"source": "initContainer"}},
            "needs claim, hostPath or baked",
        ),
        ({"settings": {"model": "/data/models/a"}}, "weights.claim.existingClaim"),
        ({"settings": {"extra_models": {"anna": "/data/models/anna"}}}, "weights.claim.existingClaim"),
        ({"finetune": {"kind": "job"}}, "finetune.existingClaim"),
        ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs"),
        ({"voices": {"claim": {"enabled": True}, "objectStore": {"url": "s3://a"}}}, "both say where voices are kept"),
        ({"voices": {"objectStore": {"existingSecret": "a"}}}, "no use without voices.objectStore.url"),
    ],
)
def test_what_cannot_run_is_not_rendered(values: dict[str, Any], advice: str) -> None:
    with pytest.raises(helm_python.HelmError, match=advice):
        rendered(values)


def test_no_licence_is_accepted_by_default() -> None:
    with helm_python.Chart.load(CHART) as chart:
        assert chart.values["settings"]["accept_cpml"] is False
    assert rendered(CONSENT)
    bool_named_otherwise = {"settings": {"model": "xtts_v2", "accept_cpml": "true"}}
    with pytest.raises(helm_python.HelmError, match="accept_cpml"):
        rendered(bool_named_otherwise)


def test_readme_has_the_table_of_values() -> None:
    assert README.read_text(encoding="utf-8") == readme_with_table(), "make k8s writes it anew"
    assert "| `engine.maxReplicas` | `1` | Engine replicas at most. |" in values_table()


def test_a_value_without_a_comment_is_found(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "values.yaml").write_text("a:\n  # Said.\n  b: 1\n  c: 2\n", encoding="utf-8")
    (tmp_path / "values.schema.json").write_text('{"properties": {"a": {"properties": {}}}}', encoding="utf-8")
    monkeypatch.setattr("helm.values_table.CHART", tmp_path)
    with pytest.raises(UndocumentedValue, match=r"a\.c"):
        values_table()


def test_values_files_say_what_they_are_for() -> None:
    assert [path.name for path in CI_FILES if not path.read_text(encoding="utf-8").startswith("# ")] == []
    assert any(each == {} for path in CI_FILES for each in walk(yaml.safe_load(path.read_text(encoding="utf-8"))))
