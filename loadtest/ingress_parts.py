"""What an ingress computes for half a second of audio, part by part, in one process and without Ray.

CPU time of this process, the least of several rounds. What an ingress takes beyond it, scale-out tells, is Ray's.
"""

import asyncio
import json
import pickle
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from loadtest.recordings import reading_at
from loadtest.sleeping import CHUNK_S, Plan, SleepingService
from loadtest.speech import SPEECH_ROUTE
from loadtest.verdict import table
from serve_app.api.app import create_app
from serve_app.api.observation import Observation
from serve_app.audio.encoders import encoder_for
from serve_app.metrics import Metrics, PrometheusExporter
from serve_app.model.config import SAMPLE_RATE_HZ
from serve_app.settings import make_settings
from serve_app.speech.request import AudioChunk, one_turn

FORMATS = ("pcm", "wav", "mp3", "opus")
NUM_CHUNKS, NUM_ROUNDS = 200, 7


def part_lines() -> Iterator[str]:
    chunks = _chunks(NUM_CHUNKS)
    alone_s, streaming_s = _application_s(1), _application_s(NUM_CHUNKS)
    chunk_s = (streaming_s - alone_s) / (NUM_CHUNKS - 1)
    rows = [
        ["an `AudioChunk` pickled and read again, as between processes", _per_chunk(_pickle_s(chunks))],
        ["watched for the log and the metrics", _per_chunk(_observe_s(chunks))],
        *([f"encoded as {name}", _per_chunk(_encode_s(name, chunks))] for name in FORMATS),
        ["the whole application as pcm, without a server", _per_chunk(chunk_s * NUM_CHUNKS)],
    ]
    yield from table(["part", "CPU ms per second of audio"], rows)
    yield f"\nand {1e3 * (alone_s - chunk_s):.1f} ms for each request"


def _per_chunk(seconds: float) -> str:
    return f"{1e3 * seconds / NUM_CHUNKS / CHUNK_S:.3f}"


def _chunks(num: int) -> list[AudioChunk]:
    """Of a reading, over and over: noise would cost an encoder more."""
    num_samples = round(CHUNK_S * SAMPLE_RATE_HZ)
    spoken = np.resize(reading_at(SAMPLE_RATE_HZ), num * num_samples)
    return [AudioChunk(each, index * num_samples, 0) for index, each in enumerate(np.split(spoken, num))]


def _least_s(work: Callable[[], object]) -> float:
    found = []
    for _ in range(NUM_ROUNDS):
        started_s = time.process_time()
        work()
        found.append(time.process_time() - started_s)
    return min(found)


def _pickle_s(chunks: list[AudioChunk]) -> float:
    return _least_s(lambda: [pickle.loads(pickle.dumps(chunk, 5)) for chunk in chunks])  # noqa: S301  our own bytes


def _encode_s(name: str, chunks: list[AudioChunk]) -> float:
    def encode() -> None:
        encoder = encoder_for(name, SAMPLE_RATE_HZ)
        encoder.start()
        for chunk in chunks:
            encoder.encode(chunk.samples)
        encoder.finish()

    return _least_s(encode)


def _observe_s(chunks: list[AudioChunk]) -> float:
    async def ready() -> AsyncGenerator[AudioChunk]:
        for chunk in chunks:
            yield chunk

    async def observe() -> None:
        seen = Observation("", "POST", time.perf_counter())
        async for _ in seen.watch(one_turn("text", "en"), ready(), SAMPLE_RATE_HZ):
            pass

    return _least_s(lambda: asyncio.run(observe()))


def _application_s(num_chunks: int) -> float:
    """A request for so many chunks, all at hand, through every route, middleware and encoder there is."""
    settings = make_settings(max_jobs_running=0)
    plan = Plan(0.0, 0.0, num_chunks)
    app = create_app(SleepingService(8, plan), settings, recorder=Metrics(PrometheusExporter(CollectorRegistry())))
    body = json.dumps({"input": "A text that nobody reads.", "language": "en", "response_format": "pcm"}).encode()

    async def ask() -> None:
        request, is_over = iter((body,)), asyncio.Event()
        num_bytes = 0

        async def receive() -> dict[str, Any]:
            for each in request:
                return {"type": "http.request", "body": each, "more_body": False}
            await is_over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal num_bytes
            num_bytes += len(message.get("body", b""))

        await _called(app, receive, send)
        assert num_bytes == num_chunks * round(CHUNK_S * SAMPLE_RATE_HZ) * 2

    return _least_s(lambda: asyncio.run(ask()))


async def _called(app: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    path = SPEECH_ROUTE
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
