"""One engine replica: a shelf of models in a process of its own, called by ingress replicas through a handle."""

import logging
import os
import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

from serve_app import logs
from serve_app.audio.pcm import Recording
from serve_app.deployment.affinity import LoadedModels
from serve_app.deployment.autoscaling import load_report
from serve_app.deployment.gone import ReplicaFailed
from serve_app.deployment.ray_metrics import RayExporter
from serve_app.errors import EngineFailed, ServiceError
from serve_app.metrics import Metrics
from serve_app.settings import Settings
from serve_app.shelf.loaded import ServiceLoader
from serve_app.shelf.opening import open_shelf
from serve_app.speech.request import AudioChunk, ServiceStatus, SpeechRequest
from serve_app.voices.info import PreparedVoice

logger = logging.getLogger(__name__)

PLAIN = "%(message)s"  # Ray passes the lines of a replica on with a prefix of its own
END_DELAY_S = 1.0  # of a replica whose engine failed


class EngineReplica:
    """One shelf of models in one process. Serve waits for its running streams before it lets it go."""

    def __init__(self, settings: Settings, load_service: ServiceLoader) -> None:
        logs.configure(settings.log_format, text_format=PLAIN)
        self._is_ending = False
        # Serve calls this on a running event loop, and a load may use one of its own.
        with ThreadPoolExecutor(1, "load") as loader:
            recorder = Metrics(RayExporter())
            self._service = loader.submit(open_shelf, settings, load_service, logger.info, recorder).result()
        self._loaded_models = LoadedModels() if settings.extra_models else None
        self._tell_loaded_models()
        self._service.on_change = self._tell_loaded_models

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk | ServiceError]:
        """The service's chunks; its error is the last item, because Ray logs what is raised as a failure of its own."""
        try:
            async with aclosing(self._service.stream(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except EngineFailed as error:
            self._end_soon(error)
            yield ReplicaFailed()
        except ServiceError as error:
            yield error

    async def prepare_voice(self, recordings: Sequence[Recording], is_style: bool) -> PreparedVoice | ServiceError:
        """The service's answer, or its error."""
        try:
            return await self._service.prepare_voice(recordings, is_style=is_style)
        except EngineFailed as error:
            self._end_soon(error)
            return ReplicaFailed()
        except ServiceError as error:
            return error

    async def status(self, model: str | None = None) -> ServiceStatus | ServiceError:
        """The shelf's answer, or its error."""
        try:
            return await self._service.status(model)
        except ServiceError as error:
            return error

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Called by Serve, for `autoscaling.replicas_wanted`."""
        return load_report(self._service.load_now())

    def check_health(self) -> None:
        """Called by Serve; raising three times in a row replaces the replica, and so does its end, at once."""
        self._tell_loaded_models()
        try:
            self._service.check_health()
        except EngineFailed as error:
            self._end_soon(error)
            raise

    def _tell_loaded_models(self) -> None:
        if self._loaded_models is not None:
            self._loaded_models.tell(self._service.loaded_names)

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
