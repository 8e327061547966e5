"""The application: engine and ingress deployments, how Serve runs each, and the builder that Ray is given."""

from math import ceil
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from serve_app import logs
from serve_app.api.app import create_app
from serve_app.deployment.autoscaling import autoscaling_config
from serve_app.deployment.backend import EngineBackend
from serve_app.deployment.presence import ENGINE_NAME
from serve_app.deployment.ray_metrics import RayExporter
from serve_app.deployment.replica import PLAIN, EngineReplica
from serve_app.errors import SettingsError
from serve_app.heap import map_large_blocks
from serve_app.metrics import Metrics
from serve_app.settings import Settings, make_settings
from serve_app.shelf.loaded import ServiceLoader, load_speech_service

MAX_INGRESS_REQUESTS = 1_000
INGRESS_CPUS = 0.1


class Ingress:
    """The HTTP application in a process of its own, built where it runs."""

    def __init__(self, settings: Settings, engine: DeploymentHandle[Any]) -> None:
        logs.configure(settings.log_format, text_format=PLAIN)
        map_large_blocks()
        self._settings = settings
        self._engine = engine

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Called by Serve after the constructor. Serve's proxy returns `x-request-id` itself."""
        backend = EngineBackend(self._engine, has_several_models=bool(self._settings.extra_models))
        return create_app(backend, self._settings, is_request_id_echoed=False, recorder=Metrics(RayExporter()))


def build_app(args: dict[str, Any]) -> serve.Application:
    """The application of `serve run`, `serve deploy` and `serveConfigV2`; `args` are fields of `Settings`.

    Text is read as the field's type. Raises `SettingsError` for an unknown field or a value out of range.
    """
    return build_application(make_settings(**args))


def build_application(settings: Settings, load_service: ServiceLoader = load_speech_service) -> serve.Application:
    """Engine and ingress deployments, bound to each other. `load_service` is called in each engine replica."""
    engine = serve.deployment(name=ENGINE_NAME, **engine_options(settings))(EngineReplica)
    ingress = serve.deployment(name="Ingress", **ingress_options(settings))(serve.ingress()(Ingress))
    return ingress.bind(settings, engine.bind(engine_settings(settings), load_service))


def num_gpus(settings: Settings) -> float:
    """GPUs of one engine replica. Raises `SettingsError` where the device says otherwise."""
    asked = settings.num_gpus_per_engine
    if asked is None:
        return 1.0 if settings.device == "cuda" else 0.0
    if (asked > 0) != (settings.device == "cuda") and settings.device != "auto":
        raise SettingsError(
            f"XTTS_DEVICE={settings.device} and XTTS_NUM_GPUS_PER_ENGINE={asked:g} contradict each other: drop one."
        )
    return asked


def engine_settings(settings: Settings) -> Settings:
    """What an engine replica is loaded with: it uses a GPU only if it was given one, and refuses nothing that Serve let
    in, so that Serve's queue alone is the limit, whichever replica a request met.
    """
    is_gpu = num_gpus(settings) > 0
    max_sentences = max_ongoing_requests(settings) * settings.max_slots_per_request
    update = {
        "device": "cuda" if is_gpu else "cpu",
        "max_slots": settings.num_slots(is_gpu=is_gpu),
        "max_waiting": max(settings.max_waiting, max_sentences),
    }
    return settings.model_copy(update=update)


def max_ongoing_requests(settings: Settings) -> int:
    """Each request needs a slot at least, so a replica takes as many requests as it has slots, and a few more, whose
    text and voice are prepared meanwhile.
    """
    num_slots = settings.num_slots(is_gpu=num_gpus(settings) > 0)
    return num_slots + max(2, num_slots // 8)


def ingress_options(settings: Settings) -> dict[str, Any]:
    """How Serve runs the ingress: it waits for the engine most of the time, so it may hold many requests."""
    return {
        "num_replicas": settings.num_ingress_replicas,
        "max_ongoing_requests": MAX_INGRESS_REQUESTS,
        "max_surge_percent": 100,  # a new version runs before the old one goes: it costs no GPU
        "ray_actor_options": {"num_cpus": INGRESS_CPUS},
        "graceful_shutdown_timeout_s": settings.shutdown_timeout_s,
        "graceful_shutdown_wait_loop_s": 0.5,
    }


def engine_options(settings: Settings) -> dict[str, Any]:
    """How Serve runs the engine. What `max_ongoing_requests` leaves out waits in the callers' queues, where refusing it
    costs nothing.
    """
    num_slots = settings.num_slots(is_gpu=num_gpus(settings) > 0)
    return {
        "autoscaling_config": autoscaling_config(settings, num_slots),
        "max_ongoing_requests": max_ongoing_requests(settings),
        "max_queued_requests": ceil(settings.max_waiting / settings.num_ingress_replicas),  # of each ingress replica
        "ray_actor_options": {"num_cpus": 1, "num_gpus": num_gpus(settings)},
        "health_check_period_s": 5.0,
        "health_check_timeout_s": 30.0,
        "graceful_shutdown_timeout_s": settings.shutdown_timeout_s,
        "graceful_shutdown_wait_loop_s": 0.5,
    }
