"""How Serve is told to run engine and ingress, from the settings."""

import subprocess
import sys
from typing import Any

import pytest
from ray import serve

from serve_app.deployment import build_app
from serve_app.deployment.application import engine_options, engine_settings
from serve_app.errors import SettingsError
from serve_app.settings import Settings, make_settings


def test_ingress_imports_no_torch() -> None:
    code = "import sys, serve_app.deployment; print([name for name in ('torch', 'TTS') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_settings_are_read_from_text() -> None:
    settings = make_settings(model="synthetic:full", max_slots="8", deterministic="true")
    assert (settings.model, settings.max_slots, settings.deterministic) == ("synthetic:full", 8, True)


@pytest.mark.parametrize(("name", "value"), [("max_slot", "8"), ("max_slots", "many"), ("max_slots", -1)])
def test_wrong_settings_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=name):
        build_app({name: value})


def test_builder_makes_an_application_of_two_deployments() -> None:
    assert isinstance(build_app({"model": "synthetic:tiny"}), serve.Application)


def test_engine_takes_a_request_per_slot_and_a_little_more() -> None:
    settings = Settings(
        max_slots=16, max_waiting=30, num_ingress_replicas=4, min_engine_replicas=2, max_engine_replicas=5
    )
    options = engine_options(settings)
    assert (options["max_ongoing_requests"], options["max_queued_requests"]) == (18, 8)
    autoscaling = options["autoscaling_config"]
    assert (autoscaling.min_replicas, autoscaling.max_replicas) == (2, 5)
    assert autoscaling.target_ongoing_requests == 12
    assert options["graceful_shutdown_timeout_s"] == settings.shutdown_timeout_s
    assert engine_options(Settings(num_gpus_per_engine=0.5))["max_ongoing_requests"] == 72


def test_engine_refuses_nothing_that_serve_let_in() -> None:
    """Its bound counts sentences, Serve's counts requests, of which each may have several at once."""
    settings = Settings(max_slots=4, max_waiting=2, max_slots_per_request=8)
    replica = engine_settings(settings)
    assert replica.max_slots + replica.max_waiting >= 8 * engine_options(settings)["max_ongoing_requests"]
    assert engine_settings(Settings(max_waiting=9_999)).max_waiting == 9_999


@pytest.mark.parametrize(
    ("asked", "device", "num_slots", "gpus"),
    [
        ({}, "cpu", 16, 0.0),
        ({"device": "cuda"}, "cuda", 64, 1.0),
        ({"num_gpus_per_engine": 0.5}, "cuda", 64, 0.5),
        ({"num_gpus_per_engine": 0.0}, "cpu", 16, 0.0),
        ({"device": "cuda", "num_gpus_per_engine": 2.0, "max_slots": 8}, "cuda", 8, 2.0),
    ],
)
def test_engine_uses_a_gpu_only_if_it_was_given_one(
    asked: dict[str, Any], device: str, num_slots: int, gpus: float
) -> None:
    settings = Settings(**asked)
    replica = engine_settings(settings)
    assert (replica.device, replica.max_slots) == (device, num_slots)
    assert engine_options(settings)["ray_actor_options"]["num_gpus"] == gpus


@pytest.mark.parametrize(
    "asked", [{"device": "cuda", "num_gpus_per_engine": 0}, {"device": "cpu", "num_gpus_per_engine": 1}]
)
def test_device_and_gpus_that_contradict_each_other_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="XTTS_NUM_GPUS_PER_ENGINE"):
        build_app(asked)
