"""`serveConfigV2`: every field is one that Ray Serve knows, its arguments are the service's, and Serve builds it."""

from typing import Any

import jsonschema
import pytest
from ray.serve._private.build_app import build_app as ray_build_app
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ServeDeploySchema

from serve_app import deployment
from serve_app.deployment import build_app
from serve_app.deployment.application import num_gpus
from serve_app.settings import make_settings
from tests.chart.support import application, ci_values, closed, names_with, objects, one, serve_config

NAMES = names_with("RayService")
CONSENT_MODEL = "xtts_v2"


def check(config: dict[str, Any]) -> None:
    """Raises for a field that Serve would pass over in silence."""
    jsonschema.validate(config, closed(ServeDeploySchema.model_json_schema()))
    ServeDeploySchema.model_validate(config)
    for each in config["applications"]:
        for options in each.get("deployments", []):
            if "autoscaling_config" in options:
                AutoscalingConfig.model_validate(options["autoscaling_config"])


@pytest.mark.parametrize("name", NAMES)
def test_serve_knows_every_field(name: str) -> None:
    config = serve_config(one(objects(name), "RayService"))
    check(config)
    assert (config["http_options"]["host"], config["http_options"]["port"]) == ("0.0.0.0", 8000)
    assert config["proxy_location"] == "EveryNode"


@pytest.mark.parametrize("key", ["max_ongoing_request", "num_cpus", "autoscaling"])
def test_a_field_serve_does_not_know_would_be_found(key: str) -> None:
    config = serve_config(one(objects("minimal"), "RayService"))
    config["applications"][0]["deployments"][0][key] = 1
    ServeDeploySchema.model_validate(config)  # Ray itself says nothing
    with pytest.raises(jsonschema.ValidationError, match=key):
        check(config)


@pytest.mark.parametrize("name", NAMES)
def test_application_is_ours_and_its_arguments_are_settings(name: str) -> None:
    found = application(one(objects(name), "RayService"))
    module, _, attribute = found["import_path"].partition(":")
    assert (module, getattr(deployment, attribute)) == (deployment.__name__, build_app)
    settings = make_settings(**found["args"])
    assert settings.log_format == ("text" if name == "everything" else "json")
    assert settings.max_engine_replicas >= settings.min_engine_replicas >= 1
    assert settings.accept_cpml or settings.model != CONSENT_MODEL


@pytest.mark.parametrize("name", NAMES)
def test_serve_builds_it_with_the_deployments_named(name: str) -> None:
    """What is overridden keeps what the code asks of Ray, and adds only where a replica may run."""
    found = application(one(objects(name), "RayService"))
    built = ray_build_app(build_app(found["args"]), name=found["name"])
    overrides = {each["name"]: each["ray_actor_options"] for each in found["deployments"]}
    assert {each.name for each in built.deployments} == set(overrides)
    for each in built.deployments:
        override = dict(overrides[each.name])
        assert override.pop("resources") == {f"xtts_{each.name.lower()}": 1}
        assert override == {"num_cpus": each.ray_actor_options["num_cpus"], **gpus(each.name, found["args"])}


def gpus(deployment_name: str, args: dict[str, Any]) -> dict[str, float]:
    return {"num_gpus": num_gpus(make_settings(**args))} if deployment_name == "Engine" else {}


@pytest.mark.parametrize(("name", "share"), [("cpu", 0.0), ("gpu-xtts", 1.0), ("gpu-shared", 0.5)])
def test_engine_asks_for_its_share_of_a_gpu(name: str, share: float) -> None:
    args = application(one(objects(name), "RayService"))["args"]
    assert num_gpus(make_settings(**args)) == share


@pytest.mark.parametrize(("name", "where"), [("minimal", "/tmp/models"), ("gpu-xtts", "/data/models")])
def test_weights_are_looked_for_where_they_are(name: str, where: str) -> None:
    assert application(one(objects(name), "RayService"))["args"]["model_cache"] == where


def test_every_settings_value_arrives_as_it_is() -> None:
    args = application(one(objects("cpu"), "RayService"))["args"]
    assert (args["max_upload_bytes"], args["max_slots"], args["num_threads"]) == (10_485_760, 8, 4)


def test_further_models_arrive_as_they_are() -> None:
    settings = make_settings(**application(one(objects("models"), "RayService"))["args"])
    assert settings.extra_models == ci_values("models")["settings"]["extra_models"]
    assert settings.max_model_bytes == 20_000_000_000
