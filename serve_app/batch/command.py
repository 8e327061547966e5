"""`python -m serve_app batch`: from the command's options to a run, with a model of its own or a service's."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from serve_app.audio.encoders import encoder_for
from serve_app.batch.progress import Progress
from serve_app.batch.run import Batch, BatchOptions, Outcome, make_directory, speak_book
from serve_app.batch.speakers import ANSWER_TIMEOUT_S, LocalSpeaker, RemoteSpeaker, Speaker
from serve_app.batch.texts import check_file, read_book, read_texts
from serve_app.errors import RequestError
from serve_app.model.source import check_source
from serve_app.say import read_reference, reference_path
from serve_app.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Service:
    """Where a running service is, and the variable that holds its API key."""

    url: str
    api_key_env: str | None = None


async def run_batch(
    settings: Settings, file: Path, options: BatchOptions, *, is_book: bool, service: Service | None
) -> Outcome:
    """Raises a ServiceError where nothing can be done at all; what single texts met is in the outcome."""
    check_file(file)
    encoder_for(options.response_format, field="format")
    make_directory(options.directory)
    if service is None:
        check_source(settings.model, accept_cpml=settings.accept_cpml)
    text = await asyncio.to_thread(read_book, file) if is_book else ""
    total = 0 if is_book else await asyncio.to_thread(lambda: sum(1 for _ in read_texts(file)))
    opened = _local(settings, options) if service is None else _remote(settings, options, service)
    async with opened as speaker:
        with Progress() as progress:
            if is_book:
                path, outcome = await speak_book(text, file.stem, speaker, options, progress)
                logger.info("%s", path)
                return outcome
            progress.start(total)
            return await Batch(speaker, options, progress).run(read_texts(file))


@asynccontextmanager
async def _local(settings: Settings, options: BatchOptions) -> AsyncGenerator[Speaker]:
    reference = await asyncio.to_thread(read_reference, settings, options.voice)
    from serve_app.speech.service import SpeechService  # seconds: what is plainly wrong has been said

    backend = await asyncio.to_thread(SpeechService.load, settings, logger.info)
    try:
        yield LocalSpeaker(backend, options.voice, reference)
    finally:
        backend.close()


@asynccontextmanager
async def _remote(settings: Settings, options: BatchOptions, service: Service) -> AsyncGenerator[Speaker]:
    if urlsplit(service.url).scheme not in ("http", "https") or not urlsplit(service.url).hostname:
        raise RequestError(f"{service.url!r} is no address such as http://127.0.0.1:8100", field="url")
    headers = {}
    if service.api_key_env is not None:
        if not (key := os.environ.get(service.api_key_env)):
            raise RequestError(f"the variable {service.api_key_env} is not set: put the key into it", field="key")
        headers["authorization"] = f"Bearer {key}"
    path = reference_path(options.voice)
    reference = None
    if path is not None:
        await asyncio.to_thread(read_reference, settings, options.voice)  # which says what is wrong with it
        reference = await asyncio.to_thread(path.read_bytes)
    async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=ANSWER_TIMEOUT_S) as client:
        speaker = RemoteSpeaker(client, options.voice, reference)
        await speaker.check()
        yield speaker
