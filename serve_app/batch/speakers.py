"""Who speaks a batch: a model in this process, or a service by its address. One part of a text at a time."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import httpx2
import numpy as np

from serve_app.audio.pcm import Recording
from serve_app.errors import EngineFailed, Overloaded, RequestError, ServiceError, Unavailable
from serve_app.jobs.job import Part, PartFacts, Sentence
from serve_app.speech.mix import parse_voice
from serve_app.speech.request import SpeechBackend, SpeechRequest, Turn, VoiceChoice, collect
from serve_app.text.detection import detect_language
from serve_app.text.languages import resolve_language

MAX_TRIES = 8
FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 60.0
ANSWER_TIMEOUT_S = 600.0
SAMPLE_RATE_HZ = 24_000
AUTO = "auto"

_FULL_SCALE = 32_767.0
_T = TypeVar("_T")


@dataclass(frozen=True)
class Asked:
    """A part of a text, and how it is to be spoken."""

    text: str
    language: str
    voice: str
    speed: float
    seed: int


class Speaker(Protocol):
    async def speak(self, asked: Asked) -> Part:
        """At 24 kHz. Raises a ServiceError."""
        ...


class LocalSpeaker:
    """Over a service in this process. A `reference` takes the place of the voice that the command names, `default`."""

    def __init__(self, backend: SpeechBackend, default: str, reference: Recording | None) -> None:
        self._backend, self._default, self._reference = backend, default, reference

    async def speak(self, asked: Asked) -> Part:
        languages = (await self._backend.status()).languages
        if asked.language.lower() == AUTO:
            default = "en" if "en" in languages else languages[0]
            language = await asyncio.to_thread(detect_language, asked.text, languages, default)
        else:
            language = resolve_language(asked.language, languages)
        is_default = asked.voice == self._default and self._reference is not None
        voice = VoiceChoice(reference=self._reference) if is_default else VoiceChoice(parse_voice(asked.voice))
        request = SpeechRequest(
            (Turn(asked.text, language, voice, speed=asked.speed),), seed=asked.seed, is_streaming=False
        )
        return await patiently(lambda: self._spoken(request))

    async def _spoken(self, request: SpeechRequest) -> Part:
        samples, summary = await collect(self._backend.stream(request))
        sentences = tuple(Sentence(each.text, each.start_s, each.end_s) for each in summary.sentences)
        return Part(samples, PartFacts(len(samples), sentences, summary.warnings))


class RemoteSpeaker:
    """Over HTTP. `reference` is a recording's file."""

    def __init__(self, client: httpx2.AsyncClient, default: str, reference: bytes | None) -> None:
        self._client, self._default = client, default
        self._reference = None if reference is None else base64.b64encode(reference).decode("ascii")

    async def check(self) -> None:
        """Whether somebody is there who lets us in. Raises a ServiceError."""
        await patiently(self._ask_for_models, max_tries=3)

    async def _ask_for_models(self) -> None:
        with _transport_errors_as_ours():
            answer = await self._client.get("/v1/models")
        if answer.status_code != 200:
            raise _error(answer)

    async def speak(self, asked: Asked) -> Part:
        body: dict[str, Any] = {
            "input": asked.text,
            "language": asked.language,
            "speed": asked.speed,
            "seed": asked.seed,
            "response_format": "pcm",
            "stream_format": "sse",  # which tells when each sentence is heard, and why it fails midway
        }
        if asked.voice == self._default and self._reference is not None:
            body["reference_audio_b64"] = self._reference
        else:
            body["voice"] = asked.voice
        return await patiently(lambda: self._spoken(body))

    async def _spoken(self, body: dict[str, Any]) -> Part:
        """Read as it comes: an error is the last event before the transfer is cut."""
        pcm, end = bytearray(), dict[str, Any]()
        with _transport_errors_as_ours():
            async with self._client.stream("POST", "/v1/audio/speech", json=body) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    raise _error(answer)
                async for line in answer.aiter_lines():
                    event = json.loads(line.removeprefix("data: ") or "{}")
                    if event.get("type") == "error":
                        raise _error_of(event["error"], EngineFailed)
                    if event.get("type") == "speech.audio.delta":
                        pcm += base64.b64decode(event["audio"])
                    if event.get("type") == "speech.audio.done":
                        end = event
        if not end:
            raise Unavailable("The speech ended before its last sample.")
        samples = np.frombuffer(bytes(pcm), dtype="<i2").astype(np.float32) / np.float32(_FULL_SCALE)
        sentences = tuple(Sentence(each["text"], each["start_s"], each["end_s"]) for each in end["sentences"])
        return Part(samples, PartFacts(len(samples), sentences, tuple(end["warnings"])))


@contextmanager
def _transport_errors_as_ours() -> Generator[None]:
    try:
        yield
    except httpx2.TransportError as error:
        raise Unavailable(f"The service does not answer ({type(error).__name__}); check --url.") from error


async def patiently(ask: Callable[[], Awaitable[_T]], max_tries: int = MAX_TRIES) -> _T:
    """Its answer; asked again while the service is busy or away, at last raising what it said."""
    delay_s = FIRST_DELAY_S
    for _ in range(max_tries - 1):
        try:
            return await ask()
        except (Overloaded, Unavailable) as error:
            wait_s = min(LONGEST_DELAY_S, max(delay_s, error.retry_after_s or 0.0))
        await asyncio.sleep(wait_s)
        delay_s *= 2
    return await ask()


def _error(answer: httpx2.Response) -> ServiceError:
    """As the service raised it; by its status where the answer is not the service's own."""
    kinds: dict[int, type[ServiceError]] = {429: Overloaded, 502: Unavailable, 503: Unavailable}
    kind = kinds.get(answer.status_code, RequestError if 400 <= answer.status_code < 500 else EngineFailed)
    try:
        error = _error_of(answer.json()["error"], kind)
    except (ValueError, KeyError, TypeError):
        error = kind(f"The service answered {answer.status_code}; check --url.")
    after = answer.headers.get("retry-after", "")
    error.retry_after_s = float(after) if after.isdecimal() else None
    return error


def _error_of(said: dict[str, Any], otherwise: type[ServiceError]) -> ServiceError:
    """Of the class with that code. Raises KeyError or TypeError for what is no error of the service's."""
    return (_kind_of(str(said["code"]), ServiceError) or otherwise)(str(said["message"]))


def _kind_of(code: str, kind: type[ServiceError]) -> type[ServiceError] | None:
    if kind.code == code:
        return kind
    return next((found for each in kind.__subclasses__() if (found := _kind_of(code, each)) is not None), None)
