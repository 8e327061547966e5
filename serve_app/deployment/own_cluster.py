"""`python -m serve_app serve`: a Ray of its own on this machine, from the command to the last stream."""

import logging
import os
import re
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from math import ceil

import ray
from ray import serve
from ray.serve.config import HTTPOptions, ProxyLocation
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview, LoggingConfig

from serve_app.api.keys import KeyRing
from serve_app.deployment.application import INGRESS_CPUS, build_application, num_gpus
from serve_app.deployment.environment import set_serve_variables
from serve_app.deployment.metrics_relay import relayed_metrics
from serve_app.deployment.proxy import PROXY_CALLBACK, PROXY_CALLBACK_VARIABLE
from serve_app.errors import SettingsError, StartupError
from serve_app.local import bound_socket
from serve_app.settings import Settings
from serve_app.shelf.loaded import ServiceLoader, load_speech_service
from serve_app.shelf.opening import check_sources

logger = logging.getLogger(__name__)

APP_NAME = "default"
SHUTDOWN_MARGIN_S = 5.0  # beyond the replicas' own time-out, for Serve to notice
OBJECT_STORE_BYTES = 256 * 1024 * 1024  # recordings pass through it


def run_serve(settings: Settings, load_service: ServiceLoader = load_speech_service) -> None:
    """Serves on `settings.host:port` from a Ray of its own until SIGINT or SIGTERM, then stops all it started.

    Raises `StartupError` where the port is taken or the model cannot be loaded.
    """
    check_sources(settings)  # a replica would say it later, and three times
    if settings.api_keys_file is not None:
        KeyRing(settings.api_keys_file)  # for the same reason
    with bound_socket(settings) as probe:  # Serve says less clearly that a port is taken, and knows no port 0
        settings = settings.model_copy(update={"port": probe.getsockname()[1]})
    with _metrics_relay(settings) as ray_metrics_port:
        try:
            logger.info("starting Ray; an engine replica will load %s", settings.model)
            set_serve_variables()
            _start_ray(settings, ray_metrics_port)
            _serve_until_stopped(_with_gpus_of_this_machine(settings), load_service)
        finally:
            _restore_signals()
            if ray.is_initialized():
                serve.shutdown()  # type: ignore[no-untyped-call]
                ray.shutdown()


def _serve_until_stopped(settings: Settings, load_service: ServiceLoader) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())  # after Ray, which has handlers of its own
    serve.run_many(
        [serve.RunTarget(build_application(settings, load_service), name=APP_NAME, logging_config=_quiet())],
        wait_for_ingress_deployment_creation=False,
        wait_for_applications_running=False,
    )
    _announce_when_running(settings, stop)
    stop.wait()
    logger.info("stopping: running requests may finish")
    _restore_signals()
    _drain(settings)


@contextmanager
def _metrics_relay(settings: Settings) -> Generator[int | None]:
    """The port that Ray is to export metrics on, where any are asked for."""
    if settings.metrics_port is None:
        yield None
        return
    asked = settings.model_copy(update={"port": settings.metrics_port})
    any_port = settings.model_copy(update={"host": "127.0.0.1", "port": 0})
    with bound_socket(asked, setting="XTTS_METRICS_PORT"), bound_socket(any_port) as probe:
        ray_port: int = probe.getsockname()[1]
    with relayed_metrics(settings.host, settings.metrics_port, ray_port):
        yield ray_port


def _restore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # a second signal ends it at once


def _drain(settings: Settings) -> None:
    """Lets the replicas finish their streams; Serve's own shutdown kills the proxy, and them with it, first."""
    serve.delete(APP_NAME, _blocking=False)
    deadline_s = time.monotonic() + settings.shutdown_timeout_s + SHUTDOWN_MARGIN_S
    while APP_NAME in serve.status().applications and time.monotonic() < deadline_s:
        time.sleep(0.1)


def _start_ray(settings: Settings, metrics_port: int | None) -> None:
    """A cluster on this machine alone: no dashboard, no usage report, and only what went wrong in the log."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ[PROXY_CALLBACK_VARIABLE] = PROXY_CALLBACK
    for name in ("ray.serve", "ray._private.authentication.authentication_token_setup"):
        logging.getLogger(name).setLevel(logging.ERROR)
    needed = settings.min_engine_replicas + INGRESS_CPUS * settings.num_ingress_replicas
    ray.init(
        address="local",
        num_cpus=max(os.cpu_count() or 1, ceil(needed)),  # or replicas would wait for cores that never come
        include_dashboard=False,
        logging_level=logging.WARNING,
        object_store_memory=OBJECT_STORE_BYTES,
        _node_ip_address="127.0.0.1",
        _metrics_export_port=metrics_port,
    )
    serve.start(
        proxy_location=ProxyLocation.HeadOnly,
        http_options=HTTPOptions(host=settings.host, port=settings.port),
        logging_config=_quiet(),
    )


def _with_gpus_of_this_machine(settings: Settings) -> Settings:
    """`auto` made sure: a GPU where there is one. Raises `SettingsError` where more are asked for than there are."""
    num_present = ray.cluster_resources().get("GPU", 0.0)  # type: ignore[no-untyped-call]
    if settings.device == "auto" and settings.num_gpus_per_engine is None and num_present >= 1:
        settings = settings.model_copy(update={"device": "cuda"})
    needed = num_gpus(settings) * settings.min_engine_replicas
    if needed > num_present:
        raise SettingsError(
            f"{needed:g} GPUs are asked for and this machine has {num_present:g}. "
            "Lower XTTS_NUM_GPUS_PER_ENGINE or XTTS_MIN_ENGINE_REPLICAS, or set XTTS_DEVICE=cpu."
        )
    return settings


def _quiet() -> LoggingConfig:
    return LoggingConfig(log_level="WARNING", enable_access_log=False)


def _announce_when_running(settings: Settings, stop: threading.Event) -> None:
    while not stop.wait(0.2):
        application = serve.status().applications.get(APP_NAME)
        if application is None:
            continue
        if application.status == ApplicationStatus.DEPLOY_FAILED:
            raise StartupError(f"The service did not start: {_reason(application)}")
        if application.status == ApplicationStatus.RUNNING:
            logger.info("ready on http://%s:%d", settings.host, settings.port)
            return


def _reason(application: ApplicationStatusOverview) -> str:
    """What a deployment's own error said; Serve hands it on as the last line of a traceback."""
    for deployment in application.deployments.values():
        if deployment.status == ApplicationStatus.DEPLOY_FAILED.value:
            last_line = deployment.message.strip().splitlines()[-1]
            return re.sub(r"^serve_app\.errors\.\w+: ", "", last_line)
    return application.message
