"""The nouns of the seam: what is asked, what comes back, and the one signature across it. Imports no torch."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from serve_app.audio.pcm import Recording, Samples
from serve_app.errors import EngineFailed, RequestError
from serve_app.voices.info import PreparedVoice, VoiceInfo

DEFAULT_VOICE = "default"


@dataclass(frozen=True)
class SamplingOptions:
    """What a caller may change of the sampling; None takes the checkpoint's own value."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float | None = None


@dataclass(frozen=True)
class Guards:
    """What is done against a model that loses its way: rambles, goes round in circles, falls silent."""

    ceiling: bool = True  # a sentence ends at the length that its text can have at most
    loops: bool = True  # and where the same codes come over and over
    retry: bool = True  # it is spoken anew, once, where nothing of it was heard
    silence: bool = True  # silences over 0.7 s inside a sentence are cut short


@dataclass(frozen=True)
class VoiceChoice:
    """Whose voice, and in which manner. `reference`, when given, takes the place of the named voices."""

    parts: tuple[tuple[str, float], ...] = ((DEFAULT_VOICE, 1.0),)  # names and weights: one voice, or a mix
    reference: Recording | None = None
    style: str | None = None  # an emotion, or a style's name
    style_intensity: float = 1.0

    def __post_init__(self) -> None:
        assert self.parts and all(weight > 0.0 for _, weight in self.parts)
        assert 0.0 <= self.style_intensity <= 1.0

    @property
    def name(self) -> str:
        """What logs and errors call the named voices: "anna", or "anna(2)+ben(1)"."""
        if len(self.parts) == 1:
            return self.parts[0][0]
        return "+".join(f"{name}({weight:g})" for name, weight in self.parts)


@dataclass(frozen=True)
class Turn:
    """A text that one voice speaks."""

    text: str
    language: str
    voice: VoiceChoice = VoiceChoice()
    speed: float = 1.0  # 0.5 … 2.0: duration is divided by it, pitch stays
    pause_s: float = 0.0  # of silence before it
    pronunciations: tuple[tuple[str, str], ...] = ()  # words, and how to write them so that they are said right

    def __post_init__(self) -> None:
        assert 0.5 <= self.speed <= 2.0 and self.pause_s >= 0.0


@dataclass(frozen=True)
class SpeechRequest:
    """What one HTTP request asks to be spoken; more than one turn is a dialogue."""

    turns: tuple[Turn, ...]
    seed: int | None = None  # None: drawn, and reported in the summary
    sampling: SamplingOptions = SamplingOptions()
    guards: Guards = Guards()
    is_streaming: bool = True  # False: a sentence is handed over when whole, so it can still be split again
    model: str | None = None  # by its name among the further models; None: the default one

    def __post_init__(self) -> None:
        assert self.turns


def one_turn(
    text: str,
    language: str,
    voice: str = DEFAULT_VOICE,
    *,
    reference: Recording | None = None,
    speed: float = 1.0,
    **request_fields: Any,
) -> SpeechRequest:
    """A request of one text in one voice; `request_fields` are those of `SpeechRequest`."""
    choice = VoiceChoice(((voice, 1.0),), reference)
    return SpeechRequest((Turn(text, language, choice, speed),), **request_fields)


@dataclass(frozen=True)
class SentenceTiming:
    """When a sentence is heard, in seconds of the audio. `text` is normalised (see `text.normalize`)."""

    text: str
    start_s: float
    end_s: float
    turn_index: int = 0


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

    @property
    def turns(self) -> tuple[tuple[float, float], ...]:
        """When each turn is heard: its first sentence's start and its last one's end, in seconds."""
        spans: dict[int, tuple[float, float]] = {}
        for each in self.sentences:
            start_s, _ = spans.get(each.turn_index, (each.start_s, each.end_s))
            spans[each.turn_index] = (start_s, each.end_s)
        return tuple(spans[index] for index in sorted(spans))


@dataclass(frozen=True)
class AudioChunk:
    """A run of samples and its place in the stream. The last chunk, and only it, carries the summary."""

    samples: Samples  # [n] float32 mono at the service's sample rate
    start_sample: int
    sentence_index: int
    summary: SpeechSummary | None = None
    turn_index: int = 0

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

    `stream` raises a `ServiceError`, `ModelNotFound` among them; closing the iterator early aborts the speech and
    frees its slots.
    """

    def stream(self, request: SpeechRequest) -> AsyncIterator[AudioChunk]: ...

    async def status(self, model: str | None = None) -> ServiceStatus:
        """Of one of the further models by its name, or of the default one."""
        ...

    async def prepare_voice(self, recordings: Sequence[Recording], *, is_style: bool) -> PreparedVoice:
        """The reference that recordings become, encoded too, so that its first use is fast.

        Raises a `ServiceError`: ReferenceTooShort for less than three seconds of speech, or one if it `is_style`.
        """
        ...


@contextmanager
def naming_turn(turns: Sequence[Turn], index: int) -> Generator[None]:
    """Where there are several turns, a refusal's field names the one it is about: "turns.1.voice"."""
    try:
        yield
    except RequestError as error:
        if len(turns) == 1:
            raise
        raise type(error)(error.message, field=f"turns.{index}.{error.field or 'text'}") from None


async def complete(chunks: AsyncIterator[AudioChunk]) -> AsyncGenerator[AudioChunk]:
    """The same chunks. Raises `EngineFailed` where they end before the one that is marked last."""
    is_complete = False
    async for chunk in chunks:
        is_complete = chunk.is_last
        yield chunk
    if not is_complete:
        raise EngineFailed("The speech ended before its last sample; send the request again.")


async def collect(chunks: AsyncIterator[AudioChunk]) -> tuple[Samples, SpeechSummary]:
    """The whole of a stream: samples [num_samples] and the summary. A stream without its end is an error of ours."""
    parts: list[Samples] = []
    summary: SpeechSummary | None = None
    async for chunk in chunks:
        parts.append(chunk.samples)
        summary = chunk.summary
    assert summary is not None, "the stream ended without its summary"
    return np.concatenate(parts), summary
