"""The service without Ray: one process that answers HTTP at once and speaks when its model is loaded."""

import asyncio
import functools
import logging
import signal
import socket
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing, contextmanager, suppress

import uvicorn
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from serve_app.api.app import create_app
from serve_app.api.connection import MAX_MESSAGE_BYTES
from serve_app.api.connections import Connections
from serve_app.audio.pcm import Recording
from serve_app.compute_threads import await_apart
from serve_app.errors import SettingsError, Unavailable
from serve_app.metrics import NOT_RECORDED, Metrics, PrometheusExporter
from serve_app.settings import Settings
from serve_app.shelf.loaded import ServiceLoader, load_speech_service
from serve_app.shelf.opening import check_sources, open_shelf
from serve_app.shelf.shelf import ModelShelf
from serve_app.speech.request import AudioChunk, ServiceStatus, SpeechRequest
from serve_app.voices.info import PreparedVoice

logger = logging.getLogger(__name__)

LOADING_RETRY_AFTER_S = 5.0
HEALTH_PERIOD_S = 5.0
DRAIN_LOOK_S = 0.1  # at whether a second signal came


class LoadingBackend:
    """The seam over a service that is still loading: unready, then the service itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.service: ModelShelf | None = None

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        async with aclosing(self._loaded().stream(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def status(self, model: str | None = None) -> ServiceStatus:
        if self.service is None:
            return ServiceStatus(False, self._settings.model, self._settings.device, ())
        return await self.service.status(model)

    async def prepare_voice(self, recordings: Sequence[Recording], *, is_style: bool) -> PreparedVoice:
        return await self._loaded().prepare_voice(recordings, is_style=is_style)

    def _loaded(self) -> ModelShelf:
        if self.service is None:
            message = "The model is still loading; watch /health/ready and try again."
            raise Unavailable(message, retry_after_s=LOADING_RETRY_AFTER_S)
        return self.service


def run_local(settings: Settings, load_service: ServiceLoader = load_speech_service) -> None:
    """Serves on `settings.host:port` until SIGINT or SIGTERM; running requests may finish.

    Raises `StartupError` where the port is taken or the model cannot be loaded, and `EngineFailed` when the engine has
    failed: whoever started the process starts it again.
    """
    check_sources(settings)
    with bound_socket(settings) as listener, exported_metrics(settings) as recorder:
        asyncio.run(_serve(settings, load_service, listener, recorder))


@contextmanager
def exported_metrics(settings: Settings) -> Generator[Metrics]:
    """Metrics of this process on a port of their own, where one is asked for. Raises `SettingsError` if it is taken."""
    if settings.metrics_port is None:
        yield NOT_RECORDED
        return
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    try:
        server, thread = start_http_server(settings.metrics_port, settings.host, registry)
    except OSError as error:
        address = f"{settings.host}:{settings.metrics_port}"
        raise SettingsError(
            f"Cannot listen on {address}: {error.strerror}; choose another XTTS_METRICS_PORT."
        ) from None
    logger.info("metrics on http://%s:%d/metrics", settings.host, settings.metrics_port)
    try:
        yield Metrics(PrometheusExporter(registry))
    finally:
        server.shutdown()
        thread.join()


def bound_socket(settings: Settings, setting: str = "XTTS_PORT") -> socket.socket:
    """A socket on the settings' address, where port 0 is any free one. Raises `SettingsError` if it is taken, which
    names the `setting` to change."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With its protocol named, asyncio turns Nagle's algorithm off; else the first audio waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        address = f"{settings.host}:{settings.port}"
        raise SettingsError(f"Cannot listen on {address}: {error.strerror}; choose another {setting}.") from None
    return listener


async def _serve(settings: Settings, load_service: ServiceLoader, listener: socket.socket, recorder: Metrics) -> None:
    backend = LoadingBackend(settings)
    connections = Connections()
    server = _Server(
        uvicorn.Config(
            create_app(backend, settings, recorder=recorder, connections=connections),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=int(settings.shutdown_timeout_s),
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,  # audio gets no smaller, and every sample would pass through zlib
        ),
        connections,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
    url = f"http://{settings.host}:{listener.getsockname()[1]}"
    logger.info("listening on %s, loading %s", url, settings.model)
    load = functools.partial(open_shelf, settings, load_service, logger.info, recorder)
    life = asyncio.create_task(_live(load, backend, server, url))
    await server.serve(sockets=[listener])
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().remove_signal_handler(number)  # a second signal ends it at once
    if life.done():
        life.result()
    life.cancel()
    if backend.service is not None:
        with suppress(TimeoutError):
            await asyncio.wait_for(backend.service.drain(), settings.shutdown_timeout_s)
        backend.service.close()


async def _live(load: Callable[[], ModelShelf], backend: LoadingBackend, server: uvicorn.Server, url: str) -> None:
    """Loads the service and watches it. A failure of either ends the server."""
    try:
        backend.service = await await_apart(load, "load-model")
        logger.info("ready on %s", url)
        while True:
            await asyncio.sleep(HEALTH_PERIOD_S)
            backend.service.check_health()
    except Exception:
        server.should_exit = True
        raise


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = connections

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Nothing: `_serve` has its own handlers, because uvicorn's end the process before the service is closed."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which cuts WebSockets where they are, but they may come to their end first."""
        for server in self.servers:
            server.close()
        drain = asyncio.create_task(self._connections.drain())
        timeout_s = self.config.timeout_graceful_shutdown or 0
        deadline_s = time.monotonic() + timeout_s
        while not (drain.done() or self.force_exit) and time.monotonic() < deadline_s:
            await asyncio.wait({drain}, timeout=DRAIN_LOOK_S)
        drain.cancel()
        self.config.timeout_graceful_shutdown = max(1, round(deadline_s - time.monotonic()))
        await super().shutdown(sockets)
