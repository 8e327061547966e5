"""All of Ray: engine replicas that speak, ingress replicas that serve HTTP, and the builder that joins them.

Loads no model itself and imports no torch: `SpeechService` is imported where an engine replica starts.
"""

import asyncio
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from math import ceil
from typing import Any, cast

import ray
from ray import serve
from ray.exceptions import RayError, RayTaskError, TaskCancelledError
from ray.serve.config import AutoscalingConfig, HTTPOptions, ProxyLocation
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview, LoggingConfig
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api.app import create_app
from serve_app.api.middleware import is_sane_request_id
from serve_app.errors import EngineFailed, Overloaded, ServiceError, SettingsError, StartupError, Unavailable
from serve_app.local import ServiceLoader, bound_socket, load_speech_service
from serve_app.model.source import check_source
from serve_app.settings import Settings, make_settings
from serve_app.speech.request import AudioChunk, ServiceStatus, SpeechRequest

logger = logging.getLogger(__name__)

APP_NAME = "default"
ENGINE_NAME = "Engine"
STATUS_TIMEOUT_S = 2.0
LOST_RETRY_AFTER_S = 5.0
END_DELAY_S = 1.0  # of a replica whose engine failed
OVERLOAD_RETRY_AFTER_S = 2.0
SHUTDOWN_MARGIN_S = 5.0  # beyond the replicas' own time-out, for Serve to notice
TARGET_LOAD = 0.75  # of the slots: where autoscaling adds a replica
MAX_INGRESS_REQUESTS = 1_000
INGRESS_CPUS = 0.1
OBJECT_STORE_BYTES = 256 * 1024 * 1024  # of a local cluster; recordings pass through it
PROXY_CALLBACK = f"{__name__}:proxy_middlewares"
PROXY_STEERING_HEADERS = (
    "x-request-timeout-seconds",
    "x-request-disconnect-disabled",
    *("x-session-id", "x_session_id", "serve-multiplexed-model-id", "serve_multiplexed_model_id"),
)


class EngineReplica:
    """One service in one process. Serve waits for its running streams before it lets it go."""

    def __init__(self, settings: Settings, load_service: ServiceLoader) -> None:
        _log_to_stderr()
        self._is_ending = False
        # Serve calls this on a running event loop, and a load may use one of its own.
        with ThreadPoolExecutor(1, "load") as loader:
            self._service = loader.submit(load_service, settings, logger.info).result()

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk | ServiceError]:
        """The service's chunks; its error is the last item, because Ray logs what is raised as a failure of its own."""
        try:
            async with aclosing(self._service.stream(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except EngineFailed as error:
            self._end_soon(error)
            yield _lost(error)
        except ServiceError as error:
            yield error

    async def status(self) -> ServiceStatus:
        return await self._service.status()

    def check_health(self) -> None:
        """Called by Serve; raising three times in a row replaces the replica, and so does its end, at once."""
        try:
            self._service.check_health()
        except EngineFailed as error:
            self._end_soon(error)
            raise

    def _end_soon(self, error: EngineFailed) -> None:
        """A failed engine answers fastest, so the router would choose it most: its process ends, once waiters know."""
        if not self._is_ending:
            self._is_ending = True
            logger.error("this engine replica ends: %s", error.message)
            threading.Timer(END_DELAY_S, os._exit, (1,)).start()

    async def __del__(self) -> None:
        """Called by Serve when it stops the replica, once its streams have ended or their time is over."""
        if hasattr(self, "_service"):
            await self._service.drain()
            self._service.close()


class EngineBackend:
    """The seam over a handle of the engine deployment. Ray's errors leave it as ours."""

    def __init__(self, engine: DeploymentHandle[Any]) -> None:
        self._engine = engine
        self._streaming_engine = engine.options(stream=True)
        self._last_status: ServiceStatus | None = None

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        if self._last_status is None:  # none was met yet, or one was lost: never queue for an engine minutes away
            await self.status()
        try:
            async with aclosing(self._chunks(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except Unavailable:
            self._last_status = None
            raise

    async def _chunks(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        with _ray_errors_as_ours():
            items = DeploymentResponseGenerator[AudioChunk | ServiceError]
            response = cast(items, self._streaming_engine.stream.remote(request))
            is_finished = False
            try:
                async for item in response:
                    if isinstance(item, ServiceError):
                        raise item
                    yield item
                is_finished = True
            finally:
                if not is_finished:
                    response.cancel()  # type: ignore[no-untyped-call]

    async def status(self) -> ServiceStatus:
        """As a replica says. Where all are too busy to answer, what they said last: only a busy engine is ready."""
        try:
            with _ray_errors_as_ours():
                self._last_status = await asyncio.wait_for(self._ask_status(), STATUS_TIMEOUT_S)
        except (Overloaded, TimeoutError):
            if self._last_status is None or not await asyncio.to_thread(_is_an_engine_running):
                self._last_status = None
                message = "No engine replica answers yet; watch /health/ready and try again."
                raise Unavailable(message, retry_after_s=LOST_RETRY_AFTER_S) from None
        except Unavailable:
            self._last_status = None
            raise
        return self._last_status

    async def _ask_status(self) -> ServiceStatus:
        return await cast(DeploymentResponse[ServiceStatus], self._engine.status.remote())


class Ingress:
    """The HTTP application in a process of its own, built where it runs."""

    def __init__(self, settings: Settings, engine: DeploymentHandle[Any]) -> None:
        _log_to_stderr()
        self._settings = settings
        self._engine = engine

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Called by Serve after the constructor. Serve's proxy returns `x-request-id` itself."""
        return create_app(EngineBackend(self._engine), self._settings, is_request_id_echoed=False)


def _is_an_engine_running() -> bool:
    """As Serve's controller sees it, from inside a replica of the application."""
    application = serve.status().applications.get(serve.get_replica_context().app_name)
    engine = application.deployments.get(ENGINE_NAME) if application is not None else None
    return engine is not None and any(state == "RUNNING" and n for state, n in engine.replica_states.items())


@contextmanager
def _ray_errors_as_ours() -> Generator[None]:
    """A replica's `ServiceError` arrives as itself; a lost replica is `Unavailable`, a full queue `Overloaded`."""
    try:
        yield
    except BackPressureError as error:
        message = "All engine replicas are busy and their queue is full; try again."
        raise Overloaded(message, retry_after_s=error.retry_after_s or OVERLOAD_RETRY_AFTER_S) from None
    except RayTaskError as error:
        if isinstance(error.cause, ServiceError):
            raise error.cause from None
        if isinstance(error.cause, TaskCancelledError):
            raise _lost(error) from error
        logger.exception("an engine replica raised an error that is not ours")
        raise ServiceError("The service failed unexpectedly; its operator finds the cause in the log.") from error
    except (RayError, RayServeException) as error:
        raise _lost(error) from error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # this request's own end
        raise _lost(None) from None


def _lost(error: Exception | None) -> Unavailable:
    logger.warning("lost an engine replica: %s", type(error).__name__ if error else "its task was cancelled")
    return Unavailable(
        "The engine replica that spoke this request is gone; a new one is started, try again.",
        retry_after_s=LOST_RETRY_AFTER_S,
    )


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
        "ray_actor_options": {"num_cpus": INGRESS_CPUS},
        "graceful_shutdown_timeout_s": settings.shutdown_timeout_s,
        "graceful_shutdown_wait_loop_s": 0.5,
    }


def engine_options(settings: Settings) -> dict[str, Any]:
    """How Serve runs the engine. What `max_ongoing_requests` leaves out waits in the callers' queues, where refusing it
    costs nothing.
    """
    num_slots = settings.num_slots(is_gpu=num_gpus(settings) > 0)
    autoscaling = AutoscalingConfig(
        min_replicas=settings.min_engine_replicas,
        max_replicas=max(settings.min_engine_replicas, settings.max_engine_replicas),
        target_ongoing_requests=max(1.0, TARGET_LOAD * num_slots),
    )
    return {
        "autoscaling_config": autoscaling,
        "max_ongoing_requests": max_ongoing_requests(settings),
        "max_queued_requests": ceil(settings.max_waiting / settings.num_ingress_replicas),  # of each ingress replica
        "ray_actor_options": {"num_cpus": 1, "num_gpus": num_gpus(settings)},
        "health_check_period_s": 5.0,
        "health_check_timeout_s": 30.0,
        "graceful_shutdown_timeout_s": settings.shutdown_timeout_s,
        "graceful_shutdown_wait_loop_s": 0.5,
    }


class ProxyHeaders:
    """Takes from a client what steers Serve's proxy: timeout, watch for disconnects, routing, an unfit request id.

    The proxy reads these before any application sees the request. It calls `proxy_middlewares` where its environment
    has RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=serve_app.deployment:proxy_middlewares.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = MutableHeaders(scope=scope)
            for name in PROXY_STEERING_HEADERS:
                del headers[name]
            if not is_sane_request_id(headers.get("x-request-id", "")):
                del headers["x-request-id"]
        await self._app(scope, receive, send)


def proxy_middlewares() -> list[Middleware]:
    """Called by Serve's proxy when it starts."""
    return [Middleware(ProxyHeaders)]


def run_serve(settings: Settings, load_service: ServiceLoader = load_speech_service) -> None:
    """Serves on `settings.host:port` from a Ray of its own until SIGINT or SIGTERM, then stops all it started.

    Raises `StartupError` where the port is taken or the model cannot be loaded.
    """
    check_source(settings.model, accept_cpml=settings.accept_cpml)  # a replica would say it later, and three times
    with bound_socket(settings) as probe:  # Serve says less clearly that a port is taken, and knows no port 0
        settings = settings.model_copy(update={"port": probe.getsockname()[1]})
    stop = threading.Event()
    try:
        logger.info("starting Ray; an engine replica will load %s", settings.model)
        _start_ray(settings)
        settings = _with_gpus_of_this_machine(settings)
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
    finally:
        _restore_signals()
        if ray.is_initialized():
            serve.shutdown()  # type: ignore[no-untyped-call]
            ray.shutdown()


def _restore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # a second signal ends it at once


def _drain(settings: Settings) -> None:
    """Lets the replicas finish their streams; Serve's own shutdown kills the proxy, and them with it, first."""
    serve.delete(APP_NAME, _blocking=False)
    deadline_s = time.monotonic() + settings.shutdown_timeout_s + SHUTDOWN_MARGIN_S
    while APP_NAME in serve.status().applications and time.monotonic() < deadline_s:
        time.sleep(0.1)


def _start_ray(settings: Settings) -> None:
    """A cluster on this machine alone: no dashboard, no usage report, and only what went wrong in the log."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"] = PROXY_CALLBACK
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


def _log_to_stderr() -> None:
    """Our own log lines in a replica's process, where Ray passes them on."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
