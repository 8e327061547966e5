"""A backend that speaks sines: the fake at the one seam, for tests of what lies above it. Loads no model."""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from serve_app.audio.pcm import Recording, Samples
from serve_app.errors import (
    EngineFailed,
    ModelUnavailable,
    Overloaded,
    ReferenceTooShort,
    ServiceError,
    SynthesisFailed,
    VoiceNotFound,
)
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.settings import Settings
from serve_app.speech.request import (
    DEFAULT_VOICE,
    AudioChunk,
    SentenceTiming,
    ServiceLoad,
    ServiceStatus,
    SpeechRequest,
    SpeechSummary,
    Turn,
)
from serve_app.voices.entry import from_int16, to_int16
from serve_app.voices.info import PreparedVoice, VoiceInfo

SAMPLE_RATE_HZ = 24_000
SAMPLES_PER_CHAR = 1_200
CHUNK_SAMPLES = 2_400
SHORTEST_REFERENCE = 6_000  # samples
LANGUAGES = ("en", "ko", "ja", "zh-cn", "fr", "de", "es", "it", "pt", "pl", "ru", "nl", "cs", "tr", "ar", "hu", "hi")
VOICES = (
    VoiceInfo(DEFAULT_VOICE),
    VoiceInfo("anna", "female", "CC0"),
    VoiceInfo("gone"),  # known to the ingress, no longer to the replica
)


@dataclass(frozen=True)
class FakeOptions:
    """How the fake behaves; delays in seconds."""

    is_ready: bool = True
    languages: tuple[str, ...] = LANGUAGES
    first_chunk_delay_s: float = 0.0
    chunk_delay_s: float = 0.0
    max_streams: int = 1_000  # more than these at once are refused as overload
    models: tuple[str, ...] = ()  # further ones, which speak the first two languages
    error: ServiceError | None = None  # raised instead of the first chunk
    fails_after_chunks: int | None = None
    is_cut_short: bool = False  # ends without the last chunk


def sine_for(request: SpeechRequest) -> Samples:
    """The whole audio of a request [num_samples]: its pitch follows from everything that shapes the speech."""
    return np.concatenate([_sine(turn, request.seed) for turn in request.turns])


def _sine(turn: Turn, seed: int | None) -> Samples:
    reference = b"" if turn.voice.reference is None else turn.voice.reference.samples.tobytes()
    key = repr((turn.text, turn.language, turn.voice.name, turn.voice.style, seed)).encode() + reference
    pitch_hz = 100.0 + int.from_bytes(hashlib.sha256(key).digest()[:2]) / 65.536
    num_samples = int(len(turn.text) * SAMPLES_PER_CHAR / turn.speed)
    phase = 2 * np.pi * pitch_hz * np.arange(num_samples) / SAMPLE_RATE_HZ
    silence = np.zeros(round(turn.pause_s * SAMPLE_RATE_HZ), np.float32)
    return np.concatenate([silence, (0.5 * np.sin(phase)).astype(np.float32)])


class FakeBackend:
    """Counts what is open, and remembers what it was asked."""

    def __init__(self, options: FakeOptions | None = None) -> None:
        self.options = options or FakeOptions()
        self.num_open_streams = 0
        self.num_chunks = 0
        self.requests: list[SpeechRequest] = []

    def configure(self, **changes: object) -> None:
        self.options = replace(self.options, **changes)  # type: ignore[arg-type]

    async def status(self, model: str | None = None) -> ServiceStatus:
        notices = (f"pid {os.getpid()}",)
        if model is not None:
            if model not in self.options.models:
                raise ModelUnavailable("The model cannot be loaded.", field="model")
            return ServiceStatus(True, model, "cpu", self.options.languages[:2], (VoiceInfo(model),))
        return ServiceStatus(self.options.is_ready, "fake", "cpu", self.options.languages, VOICES, notices=notices)

    async def prepare_voice(self, recordings: Sequence[Recording], *, is_style: bool) -> PreparedVoice:
        """One after the other, as they are, at 22.05 kHz."""
        if self.options.error is not None:
            raise self.options.error
        samples = np.concatenate([recording.samples for recording in recordings])
        if len(samples) < SHORTEST_REFERENCE:
            raise ReferenceTooShort("Too short; send more.", field="audio")
        warnings = ("a style",) if is_style else (f"{len(recordings)} recordings",)
        return PreparedVoice(from_int16(to_int16(samples)), len(samples) / 22_050, warnings)

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        options = self.options
        if self.num_open_streams >= options.max_streams:
            raise Overloaded("All slots are taken; try again.", retry_after_s=2.5)
        self.requests.append(request)
        self.num_open_streams += 1
        try:
            await asyncio.sleep(options.first_chunk_delay_s)
            if options.error is not None:
                raise options.error
            async for chunk in self._chunks(request, options):
                yield chunk
        finally:
            self.num_open_streams -= 1

    async def _chunks(self, request: SpeechRequest, options: FakeOptions) -> AsyncGenerator[AudioChunk]:
        samples = sine_for(request)
        starts = range(0, len(samples), CHUNK_SAMPLES)
        for index, start in enumerate(starts):
            if options.fails_after_chunks == index:
                raise SynthesisFailed("A sentence could not be spoken.")
            is_last = index == len(starts) - 1
            if is_last and options.is_cut_short:
                return
            summary = _summary(request, len(samples)) if is_last else None
            self.num_chunks += 1
            yield AudioChunk(samples[start : start + CHUNK_SAMPLES], start, 0, summary)
            await asyncio.sleep(options.chunk_delay_s)


class FakeService(FakeBackend):
    """The fake as an engine replica loads it. The text of a request chooses what goes wrong."""

    is_healthy = True
    num_slots = 4
    num_bytes = 1

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        turn = request.turns[0]
        if turn.voice.name == "gone":
            raise VoiceNotFound("There is no such voice.", field="voice", retry_after_s=1.5)
        if turn.text == "break the engine":
            self.is_healthy = False
            raise EngineFailed("The engine loop died.")
        if turn.text == "a bug":
            raise ZeroDivisionError("a mistake of ours")
        if turn.text == "count":
            yield _counted(self.num_open_streams, request)
            return
        async for chunk in super().stream(request):
            yield chunk

    def load_now(self) -> ServiceLoad:
        return ServiceLoad(self.num_slots, self.num_open_streams, 0.0)

    def check_health(self) -> None:
        if not self.is_healthy:
            raise EngineFailed("The engine loop died.")

    async def drain(self) -> None:
        while self.num_open_streams:  # noqa: ASYNC110 (a fake need not be told)
            await asyncio.sleep(0.01)

    def close(self) -> None:
        self.is_healthy = False


def load_fake_service(
    settings: Settings, progress: Callable[[str], None], recorder: Metrics = NOT_RECORDED
) -> FakeService:
    progress("loading the fake")
    service = FakeService()
    service.configure(chunk_delay_s=0.02)
    asyncio.run(service.status())  # as the real one does to warm up: a loader may run a loop of its own
    return service


def _counted(count: int, request: SpeechRequest) -> AudioChunk:
    return AudioChunk(np.full(count + 1, 0.5, np.float32), 0, 0, _summary(request, count + 1))


def _timings(request: SpeechRequest) -> tuple[SentenceTiming, ...]:
    """A sentence a turn."""
    timings, start_s = [], 0.0
    for index, turn in enumerate(request.turns):
        end_s = start_s + len(_sine(turn, request.seed)) / SAMPLE_RATE_HZ
        timings.append(SentenceTiming(turn.text, start_s + turn.pause_s, end_s, index))
        start_s = end_s
    return tuple(timings)


def _summary(request: SpeechRequest, num_samples: int) -> SpeechSummary:
    voices = dict.fromkeys(turn.voice.name for turn in request.turns)
    warnings = tuple(f"spoken by {name}" for name in voices if name != DEFAULT_VOICE)
    seed = 1234 if request.seed is None else request.seed
    duration_s = num_samples / SAMPLE_RATE_HZ
    return SpeechSummary(
        duration_s,
        sum(len(turn.text) for turn in request.turns),
        num_samples // 1024,
        _timings(request),
        seed,
        {"synthesis": 0.25, "text": 0.01},
        warnings,
    )
