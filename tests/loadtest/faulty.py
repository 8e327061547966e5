"""A service of the real HTTP application over the fake backend, with one fault put in on the wire."""

import asyncio
import itertools
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loadtest.gauges import Gauges, parse_gauges
from loadtest.resources import Usage, UsageByRole
from loadtest.wire import Address
from serve_app.api.app import create_app
from serve_app.audio.pcm import Recording
from serve_app.errors import ReferenceTooShort, Unavailable
from serve_app.metrics import SENTENCES_WAITING, SLOTS_USED, Metrics, PrometheusExporter
from serve_app.settings import Settings
from serve_app.speech.request import AudioChunk, SpeechRequest
from tests.fakes import FakeBackend

MIN_REFERENCE_S = 3.0
MEBIBYTE = 2**20


@dataclass
class Faults:
    """What is wrong; nothing at first. `is_struck(n)` chooses among answers of the kind that the fault concerns."""

    is_struck: Callable[[int], bool] = lambda number: number % 7 == 3
    has_wrong_audio: bool = False
    hangs: bool = False
    is_cut: bool = False
    lacks_retry_after: bool = False
    refusal_delay_s: float = 0.0
    has_wrong_id: bool = False
    accepts_bad_input: bool = False
    keeps_slots: bool = False
    leak_bytes: int = 0  # at each reading
    leaked_files: int = 0
    log: list[str] = field(default_factory=list)


class FakeEngine(FakeBackend):
    """Refuses short references as the real one does, and can be killed for a while."""

    is_dead = False

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        if self.is_dead:
            raise Unavailable("The engine is gone; try again.", retry_after_s=1.0)
        reference = request.turns[0].voice.reference
        if reference is not None and _is_short(reference):
            raise ReferenceTooShort("Send a longer recording.", field="reference")
        async for chunk in super().stream(request):
            if self.is_dead:
                raise Unavailable("The engine is gone; try again.", retry_after_s=1.0)
            yield chunk


def _is_short(reference: Recording) -> bool:
    return reference.duration_s < MIN_REFERENCE_S


class Faulty:
    """ASGI middleware that spoils some answers."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app, self._faults = app, faults
        self._audio, self._refused, self._bad = itertools.count(), itertools.count(), itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        answer = _SpoiltAnswer(self._faults, send, self._audio, self._refused, self._bad)
        await self._app(scope, receive, answer.send)


class _SpoiltAnswer:
    def __init__(self, faults: Faults, send: Send, *numbers: "itertools.count[int]") -> None:
        self._faults, self._send = faults, send
        self._audio, self._refused, self._bad = numbers
        self._is_struck = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self._is_struck and message.get("body"):
            await self._spoil_body(message)
        else:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        faults, status = self._faults, message["status"]
        headers = [(name, value) for name, value in message["headers"]]
        if status == 200:
            self._is_struck = faults.is_struck(next(self._audio))
            if self._is_struck and faults.has_wrong_id:
                headers = [(n, b"another" if n == b"x-request-id" else value) for n, value in headers]
        elif status == 429:
            is_struck = faults.is_struck(next(self._refused))
            await asyncio.sleep(faults.refusal_delay_s if is_struck else 0.0)
            if is_struck and faults.lacks_retry_after:
                headers = [(name, value) for name, value in headers if name != b"retry-after"]
        elif faults.accepts_bad_input and faults.is_struck(next(self._bad)):
            status = 200
        await self._send({**message, "status": status, "headers": headers})

    async def _spoil_body(self, message: Message) -> None:
        faults, body = self._faults, message["body"]
        if faults.hangs:
            await asyncio.sleep(60.0)
        if faults.is_cut:
            raise ConnectionError("cut, as asked")
        if faults.has_wrong_audio and body[:1] != b"{":
            body = body[:-1] + bytes([body[-1] ^ 1])
        await self._send({**message, "body": body})


@dataclass
class FaultyService:
    """A `loadtest.server.Service` in this process."""

    address: Address
    engine: FakeEngine
    registry: CollectorRegistry
    faults: Faults
    num_readings: int = 0
    num_kills: int = 0

    def usage(self) -> UsageByRole:
        self.num_readings += 1
        usage = Usage(100 * MEBIBYTE, 20, 10, 1)
        leaked = Usage(self.num_readings * self.faults.leak_bytes, self.num_readings * self.faults.leaked_files)
        return {"engine": replace(usage + leaked, num_processes=1)}

    async def gauges(self) -> Gauges:
        gauges = parse_gauges(generate_latest(self.registry).decode())
        return replace(gauges, slots_used=float(self.faults.keeps_slots), sentences_waiting=0.0)

    def kill_engine(self) -> None:
        self.num_kills += 1
        self.engine.is_dead = True
        threading.Timer(0.5, self._revive).start()

    def _revive(self) -> None:
        self.engine.is_dead = False

    def troubles(self) -> list[str]:
        return self.faults.log

    def num_voice_bytes(self) -> int:
        return 0


@contextmanager
def faulty_service(faults: Faults, *, max_streams: int = 1_000, chunk_delay_s: float = 0.0) -> Generator[FaultyService]:
    engine, registry = FakeEngine(), CollectorRegistry()
    engine.configure(max_streams=max_streams, chunk_delay_s=chunk_delay_s)
    recorder = Metrics(PrometheusExporter(registry))
    for gauge in (SLOTS_USED, SENTENCES_WAITING):
        recorder.set(gauge, 0.0)
    app = Faulty(create_app(engine, Settings(), recorder=recorder), faults)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield FaultyService(Address(listener.getsockname()[1]), engine, registry, faults)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
