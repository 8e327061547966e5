"""The nouns of long work: what was asked, how far it is, and one spoken part. Knows neither files nor HTTP."""

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum

from serve_app.audio.pcm import Recording, Samples
from serve_app.speech.request import Guards, SamplingOptions, SpeechRequest, Turn, VoiceChoice
from serve_app.text.captions import Cue

MAX_WARNINGS = 50  # of one job
PART_CHARS = 1_000  # what a lost process has to speak again


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return self in (Status.DONE, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True)
class NewJob:
    """What a client asks for: texts by their ids, each a turn of the seam, in the language it is read in."""

    texts: tuple[tuple[str, Turn], ...]
    is_list: bool  # False: one text, whose id nobody names
    response_format: str
    model: str | None  # one of the further models; None: the default one, as in `SpeechRequest`
    model_name: str  # that model's own name: no other one goes on with it
    sample_rate_hz: int
    seed: int
    sampling: SamplingOptions
    guards: Guards


@dataclass(frozen=True)
class Head:
    """What of a job does not change. Times are seconds since 1970."""

    id: str
    created_at: float
    is_list: bool
    num_items: int
    num_parts: int
    num_chars: int
    response_format: str
    model: str | None
    model_name: str
    sample_rate_hz: int
    seed: int
    sampling: SamplingOptions
    guards: Guards


@dataclass(frozen=True)
class Item:
    """One text of a job, without its words. Its parts are `first_part` … `first_part + num_parts - 1`."""

    id: str
    first_part: int
    num_parts: int
    language: str
    voice: tuple[tuple[str, float], ...]
    reference: int | None  # the number of the job's recording that takes the place of the voice
    style: str | None
    style_intensity: float
    speed: float
    pronunciations: tuple[tuple[str, str], ...]

    @property
    def parts(self) -> range:
        return range(self.first_part, self.first_part + self.num_parts)

    def turn(self, text: str, reference: Recording | None) -> Turn:
        voice = VoiceChoice(self.voice, reference, self.style, self.style_intensity)
        return Turn(text, self.language, voice, speed=self.speed, pronunciations=self.pronunciations)


@dataclass(frozen=True)
class Failure:
    """Why a job failed, and at which item."""

    code: str
    message: str
    item: str | None = None


@dataclass(frozen=True)
class State:
    """How far a job is. Whoever holds its lease replaces it."""

    status: Status = Status.QUEUED
    num_parts_done: int = 0
    num_chars_done: int = 0
    audio_s: float = 0.0
    work_s: float = 0.0  # that its parts took, waits for a busy engine included
    started_at: float | None = None
    finished_at: float | None = None
    failure: Failure | None = None
    waiting_for: str | None = None  # what keeps the next part from being spoken, for a person
    warnings: tuple[str, ...] = ()

    def with_part(self, num_chars: int, audio_s: float, work_s: float, warnings: tuple[str, ...]) -> "State":
        """After one more part."""
        return replace(
            self,
            num_parts_done=self.num_parts_done + 1,
            num_chars_done=self.num_chars_done + num_chars,
            audio_s=self.audio_s + audio_s,
            work_s=self.work_s + work_s,
            waiting_for=None,
            warnings=tuple(dict.fromkeys((*self.warnings, *warnings)))[:MAX_WARNINGS],
        )


@dataclass(frozen=True)
class Job:
    head: Head
    state: State

    @property
    def seconds_left(self) -> float | None:
        """As long as the rest takes if it goes on like this; None where nothing tells."""
        if self.state.status is not Status.RUNNING or not self.state.num_chars_done:
            return None
        left = self.head.num_chars - self.state.num_chars_done
        return self.state.work_s * left / self.state.num_chars_done


@dataclass(frozen=True)
class Sentence:
    """When a sentence is heard, in seconds of its part."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class PartFacts:
    """What is known of a spoken part beside its samples."""

    num_samples: int
    sentences: tuple[Sentence, ...] = ()
    warnings: tuple[str, ...] = ()

    def cues(self, start_s: float) -> list[Cue]:
        """Its captions where the part begins at `start_s` of the whole."""
        return [(each.text, start_s + each.start_s, start_s + each.end_s) for each in self.sentences]


@dataclass(frozen=True, eq=False)
class Part:
    samples: Samples  # [num_samples]
    facts: PartFacts


def part_seed(seed: int, index: int, attempt: int = 0) -> int:
    """That of a part, whoever speaks it and whenever: 0 … 2³¹ − 1."""
    digest = hashlib.blake2b(f"{seed}/{index}/{attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) >> 1


def part_request(head: Head, turn: Turn, index: int, attempt: int = 0) -> SpeechRequest:
    """Handed over in whole sentences: nobody listens, and so each can still be mended."""
    seed = part_seed(head.seed, index, attempt)
    return SpeechRequest((turn,), seed, head.sampling, head.guards, is_streaming=False, model=head.model)
