"""The nouns of the seam: what is asked, what comes back, and the one signature across it. Imports no torch."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from serve_app.audio.pcm import Recording, Samples
from serve_app.voices.info import VoiceInfo

DEFAULT_VOICE = "default"


@dataclass(frozen=True)
class SamplingOptions:
    """What a caller may change of the sampling; None takes the checkpoint's own value."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float | None = None


@dataclass(frozen=True)
class SpeechRequest:
    """One text to speak in one voice. `reference`, when given, takes the place of the named voice."""

    text: str
    language: str
    voice: str = DEFAULT_VOICE
    reference: Recording | None = None
    speed: float = 1.0  # 0.5 … 2.0: duration is divided by it, pitch stays
    seed: int | None = None  # None: drawn, and reported in the summary
    sampling: SamplingOptions = SamplingOptions()
    is_streaming: bool = True  # False: a sentence is handed over when whole, so it can still be split again

    def __post_init__(self) -> None:
        assert 0.5 <= self.speed <= 2.0


@dataclass(frozen=True)
class SentenceTiming:
    """When a sentence is heard, in seconds of the audio. `text` is normalised (see `text.normalize`)."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class SpeechSummary:
    """What is known when the last sample is out."""

    duration_s: float
    num_text_tokens: int
    num_codes: int
    sentences: tuple[SentenceTiming, ...]
    seed: int
    timings_s: dict[str, float]  # stage → seconds: text, voice, queue, first_audio, synthesis
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class AudioChunk:
    """A run of samples and its place in the stream. The last chunk, and only it, carries the summary."""

    samples: Samples  # [n] float32 mono at the service's sample rate
    start_sample: int
    sentence_index: int
    summary: SpeechSummary | None = None

    @property
    def is_last(self) -> bool:
        return self.summary is not None


@dataclass(frozen=True)
class ServiceStatus:
    """What a service is and whether it can speak now."""

    is_ready: bool
    model: str
    device: str
    languages: tuple[str, ...]
    voices: tuple[VoiceInfo, ...] = (VoiceInfo(DEFAULT_VOICE),)
    sample_rate_hz: int = 24_000
    notices: tuple[str, ...] = field(default=())  # what every user should know, such as "random weights: noise"

    @property
    def voice_names(self) -> tuple[str, ...]:
        return tuple(voice.name for voice in self.voices)


@dataclass(frozen=True)
class ServiceLoad:
    """How much of a service is asked for now."""

    num_slots: int
    num_wanted_slots: int  # by the sentences being decoded and those that wait
    oldest_wait_s: float  # how late the sentence is that waits longest for its slot


class SpeechBackend(Protocol):
    """The seam. The Ray handle, the in-process service and the test fake all look like this.

    `stream` raises a `ServiceError`; closing the iterator early aborts the speech and frees its slots.
    """

    def stream(self, request: SpeechRequest) -> AsyncIterator[AudioChunk]: ...

    async def status(self) -> ServiceStatus: ...


async def collect(chunks: AsyncIterator[AudioChunk]) -> tuple[Samples, SpeechSummary]:
    """The whole of a stream: samples [num_samples] and the summary. A stream without its end is an error of ours."""
    parts: list[Samples] = []
    summary: SpeechSummary | None = None
    async for chunk in chunks:
        parts.append(chunk.samples)
        summary = chunk.summary
    assert summary is not None, "the stream ended without its summary"
    return np.concatenate(parts), summary
