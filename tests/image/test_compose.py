"""The compose file asks for what the image, the metrics and the dashboard have. Compose itself is not run here."""

import copy
import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from serve_app.settings import Settings
from tests.monitoring import promtool

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))
SERVICE: dict[str, Any] = COMPOSE["services"]["xtts-serve"]
SPECIFICATION = jsonschema.Draft202012Validator(
    json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text(encoding="utf-8"))
)


def test_obeys_the_compose_specification() -> None:
    assert [error.message for error in SPECIFICATION.iter_errors(COMPOSE)] == []


def test_misspelt_key_does_not_obey_it() -> None:
    misspelt = copy.deepcopy(COMPOSE)
    misspelt["services"]["xtts-serve"]["enviroment"] = {}
    assert ["enviroment" in error.message for error in SPECIFICATION.iter_errors(misspelt)] == [True]


def test_environment_holds_settings_only() -> None:
    known = {f"XTTS_{name.upper()}" for name in Settings.model_fields} | {"HF_TOKEN"}
    assert set(SERVICE["environment"]) <= known


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_ports_are_on_loopback(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"][name]["ports"])


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_what_is_mounted_is_declared_or_in_the_repository(name: str) -> None:
    service = COMPOSE["services"][name]
    for volume in service["volumes"]:
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (source.startswith("./") and (ROOT / source).exists())
    assert all(config["source"] in COMPOSE["configs"] for config in service.get("configs", ()))


def test_streams_may_finish_before_the_container_is_killed() -> None:
    assert SERVICE["stop_grace_period"] == "4m"
    assert Settings.model_fields["shutdown_timeout_s"].default <= 4 * 60 - 30


def test_prometheus_scrapes_the_port_that_the_service_opens() -> None:
    config = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"xtts-serve:{SERVICE['environment']['XTTS_METRICS_PORT']}"]}]


def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    shutil.copy(ROOT / "helm" / "xtts-serve" / "files" / "alerts.yaml", tmp_path)
    content = COMPOSE["configs"]["prometheus"]["content"].replace("/etc/prometheus/", f"{tmp_path}/")
    (tmp_path / "prometheus.yml").write_text(content, encoding="utf-8")
    result = promtool.run("check", "config", str(tmp_path / "prometheus.yml"))
    assert result.returncode == 0, result.stdout + result.stderr


def test_grafana_reads_our_prometheus_and_dashboard() -> None:
    (source,) = yaml.safe_load(COMPOSE["configs"]["datasource"]["content"])["datasources"]
    assert source["url"] == "http://prometheus:9090" and source["isDefault"]
    (provider,) = yaml.safe_load(COMPOSE["configs"]["dashboards"]["content"])["providers"]
    mounted = [volume.split(":")[1] for volume in COMPOSE["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted
