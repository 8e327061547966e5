"""The service as a caller meets it: in a process alone, behind HTTP, behind HTTP and Ray. Each speaks the same jobs."""

import asyncio
import logging
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import IO, Any, Protocol, TypeVar

import httpx2

from serve_app.bench.process_tree import ProcessTree
from serve_app.errors import ServiceError, StartupError
from serve_app.local import bound_socket, load_speech_service
from serve_app.settings import Settings
from serve_app.speech.request import SpeechRequest

READY_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.25
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


Result = TypeVar("Result")
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
    first_audio_s, num_samples = 0.0, 0
    async with aclosing(blocks):
        async for size in blocks:
            first_audio_s = first_audio_s or time.perf_counter() - started_s
            num_samples += size
            if is_probe:
                break
    return Spoken(first_audio_s, num_samples)


class InProcess:
    """`SpeechService` without HTTP, alone in a process with the loop that calls it."""

    def __init__(self, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_speak_for, args=(theirs, settings), daemon=True)
        self._process.start()
        theirs.close()
        self._receive()
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
    try:
        with ThreadPoolExecutor(1) as loader:  # as servers do: a thread that loads leaves its OpenMP threads behind
            service = loader.submit(load_speech_service, settings, lambda _: None).result()
    except ServiceError as error:
        pipe.send(error)
        return

    async def speak(job: SpeechJob, is_streaming: bool) -> AsyncGenerator[int]:
        request = SpeechRequest(job.text, job.language, seed=job.seed, is_streaming=is_streaming)
        async with aclosing(service.stream(request)) as chunks:
            async for chunk in chunks:
                if len(chunk.samples):
                    yield len(chunk.samples)

    with asyncio.Runner() as runner:
        pipe.send(None)
        while (load := pipe.recv()) is not None:
            try:
                pipe.send(runner.run(drive(speak, load)))
            except ServiceError as error:
                pipe.send(error)
    service.close()


class OverHttp:
    """`serve` as a process of its own, called from this one. Raises `StartupError` if it never gets ready."""

    def __init__(self, settings: Settings, *, is_ray: bool) -> None:
        with bound_socket(settings.model_copy(update={"host": "127.0.0.1", "port": 0})) as probe:
            port = probe.getsockname()[1]
        self._settings = settings.model_copy(update={"host": "127.0.0.1", "port": port})
        self._log: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (closed in `close`)
        command = [sys.executable, "-m", "serve_app", "serve", *([] if is_ray else ["--local"])]
        self._process = subprocess.Popen(command, env=environment(self._settings), stdout=self._log, stderr=self._log)
        self.tree = ProcessTree(self._process.pid, is_ray)
        self._runner = asyncio.Runner()
        self._client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=None, trust_env=False)
        try:
            self._run(self._wait_until_ready())
        except BaseException:
            self.close()
            raise

    def run(self, load: Load) -> Outcome:
        return self._run(drive(self._speak, load))

    def close(self) -> None:
        self._run(self._client.aclose())
        self._runner.close()
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(work)

    async def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline_s and self._process.poll() is None:
            with suppress(httpx2.TransportError):
                if (await self._client.get("/health/ready")).status_code == 200:
                    return
            await asyncio.sleep(POLL_S)
        self._log.seek(0)
        said = "\n".join(self._log.read().splitlines()[-20:])
        raise StartupError(f"`serve` was not ready in {READY_TIMEOUT_S:.0f} s, or ended. Its last words:\n{said}")

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


def environment(settings: Settings) -> dict[str, str]:
    """This process's environment, with exactly these settings."""
    values = settings.model_dump(mode="json")
    return {**os.environ, **{f"XTTS_{name.upper()}": str(each) for name, each in values.items() if each is not None}}


def _check(status: int, said: str) -> None:
    if status != 200:
        raise ServiceError(f"a request of the bench was answered with {status}: {said}")
