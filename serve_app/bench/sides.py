"""The service as a caller meets it: in a process alone, behind HTTP, behind HTTP and Ray. Each speaks the same jobs."""

import asyncio
import logging
import multiprocessing
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol, cast

import httpx2

from serve_app.bench.process_tree import ProcessTree
from serve_app.bench.serve_process import STOP_TIMEOUT_S, ServeProcess
from serve_app.errors import ServiceError
from serve_app.settings import Settings
from serve_app.shelf.loaded import load_speech_service
from serve_app.speech.request import one_turn

PROBE_PAUSE_S = 0.2  # for the engine to drop what the probe before left
WAV_HEADER_BYTES = 44
SPEECH_ROUTE, WHOLE_ROUTE = "/v1/audio/speech", "/synthesize_base64"


@dataclass(frozen=True)
class SpeechJob:
    """One request of the load."""

    text: str
    language: str
    seed: int


@dataclass(frozen=True)
class Load:
    """Jobs, `num_at_once` in flight. A probe leaves each of its jobs at its first audio."""

    jobs: tuple[SpeechJob, ...]
    num_at_once: int = 1
    is_streaming: bool = True
    is_probe: bool = False


@dataclass(frozen=True)
class Spoken:
    """One job as its caller saw it."""

    first_audio_s: float
    num_samples: int  # of what was heard
    largest_gap_s: float  # between its blocks


@dataclass(frozen=True)
class Outcome:
    """A load, done: how long it took in all, and each of its jobs in their order."""

    wall_s: float
    spoken: tuple[Spoken, ...]

    @property
    def num_samples(self) -> int:
        return sum(each.num_samples for each in self.spoken)


class ServiceSide(Protocol):
    """One way to the service. Blocks are counts of samples, as they come."""

    @property
    def tree(self) -> ProcessTree: ...

    def run(self, load: Load) -> Outcome: ...

    def close(self) -> None: ...


Speak = Callable[[SpeechJob, bool], AsyncGenerator[int]]


async def drive(speak: Speak, load: Load) -> Outcome:
    """Speaks a load's jobs; `speak(job, is_streaming)` gives the number of samples of each block when it is there."""
    waiting = iter(enumerate(load.jobs))
    spoken: dict[int, Spoken] = {}

    async def caller() -> None:
        for index, job in waiting:
            spoken[index] = await _listen(speak(job, load.is_streaming), load.is_probe)
            if load.is_probe:
                await asyncio.sleep(PROBE_PAUSE_S)

    started_s = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(load.num_at_once)))
    return Outcome(time.perf_counter() - started_s, tuple(spoken[index] for index in range(len(load.jobs))))


async def _listen(blocks: AsyncGenerator[int], is_probe: bool) -> Spoken:
    started_s = time.perf_counter()
    first_audio_s, num_samples, largest_gap_s = 0.0, 0, 0.0
    came_s = started_s
    async with aclosing(blocks):
        async for size in blocks:
            before_s, came_s = came_s, time.perf_counter()
            if num_samples:
                largest_gap_s = max(largest_gap_s, came_s - before_s)
            else:
                first_audio_s = came_s - started_s
            num_samples += size
            if is_probe:
                break
    return Spoken(first_audio_s, num_samples, largest_gap_s)


class InProcess:
    """`SpeechService` without HTTP, alone in a process with the loop that calls it. Tells the model's `languages` and
    how many seconds its load took, `load_s`."""

    def __init__(self, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_speak_for, args=(theirs, settings), daemon=True)
        self._process.start()
        theirs.close()
        self.languages, self.load_s = cast(tuple[tuple[str, ...], float], self._receive())
        assert self._process.pid is not None
        self.tree = ProcessTree(self._process.pid)

    def run(self, load: Load) -> Outcome:
        self._pipe.send(load)
        outcome: Outcome = self._receive()
        return outcome

    def close(self) -> None:
        with suppress(BrokenPipeError):
            self._pipe.send(None)
        self._process.join(STOP_TIMEOUT_S)

    def _receive(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise ServiceError("the process of the engine alone ended; its reason is above.") from None
        if isinstance(answer, Exception):
            raise answer
        return answer


def _speak_for(pipe: Connection, settings: Settings) -> None:
    """The life of the process: loads, then a load a message until None."""
    logging.disable(logging.WARNING)
    import serve_app.speech.loading  # noqa: F401  torch and coqui-tts take seconds to import, which is no load

    try:
        started_s = time.perf_counter()
        with ThreadPoolExecutor(1) as loader:  # as servers do: a thread that loads leaves its OpenMP threads behind
            service = loader.submit(load_speech_service, settings, lambda _: None).result()
        load_s = time.perf_counter() - started_s
    except ServiceError as error:
        pipe.send(error)
        return

    async def speak(job: SpeechJob, is_streaming: bool) -> AsyncGenerator[int]:
        request = one_turn(job.text, job.language, seed=job.seed, is_streaming=is_streaming)
        async with aclosing(service.stream(request)) as chunks:
            async for chunk in chunks:
                if len(chunk.samples):
                    yield len(chunk.samples)

    with asyncio.Runner() as runner:
        pipe.send((runner.run(service.status()).languages, load_s))
        while (load := pipe.recv()) is not None:
            try:
                pipe.send(runner.run(drive(speak, load)))
            except ServiceError as error:
                pipe.send(error)
    service.close()


class OverHttp:
    """`serve` as a process of its own, called from this one. Raises `StartupError` if it never gets ready."""

    def __init__(self, settings: Settings, *, is_ray: bool) -> None:
        self._process = ServeProcess(settings, is_ray=is_ray)
        self.tree = ProcessTree(self._process.pid, is_ray)
        self._runner = asyncio.Runner()
        self._client = httpx2.AsyncClient(base_url=self._process.url, timeout=None, trust_env=False)

    def run(self, load: Load) -> Outcome:
        return self._runner.run(drive(self._speak, load))

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()
        self._process.close()

    async def _speak(self, job: SpeechJob, is_streaming: bool) -> AsyncGenerator[int]:
        if is_streaming:
            async with aclosing(self._streamed(job)) as sizes:
                async for size in sizes:
                    yield size
            return
        body = {"text": job.text, "lang": job.language, "seed": job.seed}
        answer = await self._client.post(WHOLE_ROUTE, json=body)
        _check(answer.status_code, answer.text)
        audio = answer.json()["audio_base64"]
        num_bytes = len(audio) // 4 * 3 - audio[-2:].count("=")
        yield (num_bytes - WAV_HEADER_BYTES) // 2

    async def _streamed(self, job: SpeechJob) -> AsyncGenerator[int]:
        body = {"input": job.text, "language": job.language, "seed": job.seed, "response_format": "pcm"}
        async with self._client.stream("POST", SPEECH_ROUTE, json=body) as answer:
            if answer.status_code != 200:
                _check(answer.status_code, (await answer.aread()).decode("utf-8", "replace"))
            half_sample = 0  # a block of the transport may end inside a sample
            async for block in answer.aiter_raw():
                num_bytes = len(block) + half_sample
                half_sample = num_bytes % 2
                yield num_bytes // 2


def _check(status: int, said: str) -> None:
    if status != 200:
        raise ServiceError(f"a request of the bench was answered with {status}: {said}")
