"""The HTTP application over any `SpeechBackend`. Knows neither Ray nor torch."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from serve_app.api import dialogue, health, job_result, jobs, models, openai, report, studio, styles, voices, websocket
from serve_app.api.authentication import Authenticate
from serve_app.api.connections import Connections
from serve_app.api.deps import ApiState
from serve_app.api.errors import add_error_handlers
from serve_app.api.keys import KeyRing
from serve_app.api.middleware import BodyLimit, CancelOnDisconnect, RequestId, SafeHeaders
from serve_app.api.observation import Observe
from serve_app.api.recordings import MAX_RECORDINGS, VoiceWorkshop
from serve_app.api.references import ReferenceDecoder
from serve_app.api.schemas import ErrorResponse
from serve_app.jobs.runner import JobRunner
from serve_app.jobs.store import JobStore
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.settings import MEBIBYTE, Settings
from serve_app.speech.request import SpeechBackend
from serve_app.voices.catalogue import Catalogue
from serve_app.voices.storage import open_storage

if TYPE_CHECKING:
    from serve_app.api.tracing import RequestTracer

BYTES_PER_CHAR = 6  # of JSON at most, but for what lies beyond 16 bits
MAX_UPLOADS_BYTES = 512 * MEBIBYTE  # of all requests of a process at once


def create_app(
    backend: SpeechBackend,
    settings: Settings,
    *,
    is_request_id_echoed: bool = True,
    recorder: Metrics = NOT_RECORDED,
    connections: Connections | None = None,
) -> FastAPI:
    """All routes over `backend`. `is_request_id_echoed` is False behind a proxy that returns the header itself.

    `connections`: for who wants to drain the WebSockets.
    """
    errors: dict[int | str, dict[str, Any]] = {code: {"model": ErrorResponse} for code in ("4XX", "422", "5XX")}
    job_store = JobStore(settings.job_dir, settings.max_jobs, settings.job_days)
    runner = JobRunner(backend, job_store, settings.max_jobs_running, recorder)
    app = FastAPI(
        title="XTTS v2",
        description="Text to speech in a cloned voice.",
        responses=errors,
        lifespan=partial(_speaking_jobs, runner),
    )
    max_body_bytes = settings.max_upload_bytes * 7 // 5 + MEBIBYTE  # base64 with line breaks, and the text
    references = ReferenceDecoder(settings.max_upload_bytes)
    app.state.api = ApiState(
        backend,
        settings,
        references,
        max_body_bytes,
        Catalogue(open_storage(settings), settings.max_voices),
        VoiceWorkshop(backend, references, settings.first_audio_timeout_s),
        job_store,
        runner,
        connections or Connections(),
    )
    for module in (health, report, openai, dialogue, websocket, jobs, job_result, voices, styles, models, studio):
        app.include_router(module.router)
    add_error_handlers(app)
    max_voice_bytes = MAX_RECORDINGS * max_body_bytes
    max_job_bytes = max_body_bytes + BYTES_PER_CHAR * settings.max_job_chars
    app.add_middleware(
        BodyLimit,
        max_bytes=max_body_bytes,
        max_total_bytes=max(MAX_UPLOADS_BYTES, max_voice_bytes, max_job_bytes),
        max_bytes_of={"/v1/audio/voices": max_voice_bytes, "/v1/jobs": max_job_bytes},
    )
    app.add_middleware(CancelOnDisconnect)
    if settings.api_keys_file is not None:
        app.add_middleware(Authenticate, keys=KeyRing(settings.api_keys_file))
    app.add_middleware(Observe, recorder=recorder, tracer=_tracer(settings))
    app.add_middleware(SafeHeaders)
    app.add_middleware(RequestId, is_echoed=is_request_id_echoed)  # added last: outermost
    return app


@asynccontextmanager
async def _speaking_jobs(runner: JobRunner, _: FastAPI) -> AsyncGenerator[None]:
    """While the application serves."""
    task = asyncio.create_task(runner.run(), name="jobs")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _tracer(settings: Settings) -> "RequestTracer | None":
    if not settings.traces:
        return None
    from serve_app.api.tracing import RequestTracer  # here: OpenTelemetry takes a while to import

    return RequestTracer()
