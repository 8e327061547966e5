"""Who speaks a batch: a service in this process, or one that runs. A book becomes one file, and captions."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx2

from serve_app.audio.encoders import encode_whole, encoder_for
from serve_app.batch.lines import BatchOptions, Line
from serve_app.errors import RequestError, ServiceError
from serve_app.jobs import result
from serve_app.jobs.job import Item, JobHead, JobWork, cut
from serve_app.jobs.runner import JobRunner
from serve_app.jobs.store import JobStore
from serve_app.metrics import NOT_RECORDED
from serve_app.settings import Settings
from serve_app.speech.mix import parse_voice
from serve_app.speech.request import Guards, SamplingOptions, SpeechBackend, SpeechRequest, Turn, VoiceChoice, collect
from serve_app.text.captions import srt

logger = logging.getLogger(__name__)

POLL_S = 1.0


class Speaker(Protocol):
    """Speaks one text as a whole audio file, and a book as audio and captions."""

    async def speak(self, line: Line, options: BatchOptions) -> bytes: ...

    async def speak_book(self, line: Line, options: BatchOptions, tell: Callable[[int, int], None]) -> Path: ...


@asynccontextmanager
async def local_speaker(settings: Settings) -> AsyncGenerator[Speaker]:
    """A service in this process."""
    from serve_app.speech.service import SpeechService  # seconds: what is plainly wrong has been said

    service = await asyncio.to_thread(SpeechService.load, settings, logger.info)
    try:
        yield _LocalSpeaker(service)
    finally:
        service.close()


@asynccontextmanager
async def remote_speaker(url: str, api_key: str | None) -> AsyncGenerator[Speaker]:
    """A service that runs elsewhere."""
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=600.0) as client:
        yield _RemoteSpeaker(client)


class _LocalSpeaker:
    def __init__(self, backend: SpeechBackend) -> None:
        self._backend = backend

    async def speak(self, line: Line, options: BatchOptions) -> bytes:
        request = SpeechRequest((_turn(line),), options.seed, is_streaming=False)
        samples, _ = await collect(self._backend.stream(request))
        return await asyncio.to_thread(encode_whole, samples, encoder_for(options.audio_format))

    async def speak_book(self, line: Line, options: BatchOptions, tell: Callable[[int, int], None]) -> Path:
        """As a job whose parts are kept beside the result until that is whole."""
        store = JobStore(options.output / ".parts", max_jobs=100)
        head, work = _book(line, options)
        if head.id not in store.ids():
            await asyncio.to_thread(store.add, head, work)
        runner = JobRunner(self._backend, store, 1, max_age_s=float("inf"), recorder=NOT_RECORDED)
        running = asyncio.create_task(runner.run())
        try:
            while not (progress := await asyncio.to_thread(store.progress, head)).status.is_over:
                tell(progress.num_chars_done, head.num_chars)
                await asyncio.sleep(POLL_S / 4)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if progress.failure:
            await asyncio.to_thread(store.remove, head.id)
            raise ServiceError(progress.failure)
        tell(head.num_chars, head.num_chars)
        path = options.output / f"{line.id}.{options.audio_format}"
        await asyncio.to_thread(write_whole, path, b"".join(result.audio(store, head)))
        await asyncio.to_thread(write_whole, path.with_suffix(".srt"), srt(result.cues(store, head)).encode())
        await asyncio.to_thread(store.remove, head.id)
        return path


class _RemoteSpeaker:
    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def speak(self, line: Line, options: BatchOptions) -> bytes:
        body = {**_body(line, options), "input": line.text}
        return (await self._ask("POST", "/v1/audio/speech", json=body)).content

    async def speak_book(self, line: Line, options: BatchOptions, tell: Callable[[int, int], None]) -> Path:
        """As a job of that service."""
        job = (await self._ask("POST", "/v1/jobs", json={**_body(line, options), "input": line.text})).json()
        route = f"/v1/jobs/{job['id']}"
        while job["status"] in ("queued", "running"):
            tell(job["progress"]["characters_done"], job["progress"]["characters"])
            await asyncio.sleep(POLL_S)
            job = (await self._ask("GET", route)).json()
        if job["status"] != "done":
            raise ServiceError(job["error"] or f"the job was {job['status']}")
        path = options.output / f"{line.id}.{options.audio_format}"
        write_whole(path, (await self._ask("GET", f"{route}/result")).content)
        write_whole(path.with_suffix(".srt"), (await self._ask("GET", f"{route}/result?captions=srt")).content)
        await self._ask("DELETE", route)
        return path

    async def _ask(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Waits where the service is full or away, as it says how long."""
        while True:
            try:
                answer = await self._client.request(method, path, **request)
            except httpx2.TransportError as error:
                raise ServiceError(f"the service cannot be reached: {error}") from None
            if answer.status_code not in (429, 503):
                break
            await asyncio.sleep(float(answer.headers.get("retry-after", POLL_S)))
        if answer.is_success:
            return answer
        try:
            message = answer.json()["error"]["message"]
        except (ValueError, KeyError, TypeError):
            message = f"the service answered {answer.status_code}"
        raise ServiceError(message)


def _book(line: Line, options: BatchOptions) -> tuple[JobHead, JobWork]:
    """Its id follows from what is asked, so the same call finds the parts of an earlier one."""
    asked = repr((line, options.audio_format, options.seed)).encode()
    items = (Item(line.id, _turn(line)),)
    job_id = hashlib.sha256(asked).hexdigest()[:26]
    head = JobHead(job_id, None, 0.0, options.audio_format, False, (line.id,), tuple(cut(items)))
    return head, JobWork(items, options.seed, SamplingOptions(), Guards())


def _turn(line: Line) -> Turn:
    return Turn(line.text, line.language, VoiceChoice(parse_voice(line.voice)), speed=line.speed)


def _body(line: Line, options: BatchOptions) -> dict[str, Any]:
    return {
        "voice": line.voice,
        "language": line.language,
        "speed": line.speed,
        "response_format": options.audio_format,
        "seed": options.seed,
    }


def write_whole(path: Path, data: bytes) -> None:
    """Whole or not at all: what is there is not spoken again."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise RequestError(f"cannot write {path}: {error.strerror}; choose another place", field="output") from error
