"""The engine's nouns: what is asked of it, one row of its work, what it gives back. Imports no torch."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from serve_app.voices.voice import VoiceLatents

# Codes after which a running sequence hands over audio; the last number repeats. The first is small for an early first
# sound; later chunks are long, because every vocoder window pays for 28 frames (0.3 s) of context.
STREAMING_CHUNKS = (8, 12, 16, 24, 32, 43)
PREFIX_EXTRA_ROWS = 35  # beside its text: 32 conditioning latents, START, STOP and the start code
WHOLE: tuple[int, ...] = ()  # hand over nothing before the sequence is finished


def streaming_chunks(max_codes: int) -> tuple[int, ...]:
    """`STREAMING_CHUNKS`, none longer than `max_codes`."""
    assert max_codes > 0
    return (*(codes for codes in STREAMING_CHUNKS if codes < max_codes), min(max_codes, STREAMING_CHUNKS[-1]))


@dataclass(frozen=True)
class SamplingParams:
    """How the next code is chosen. `seed` and the code's position alone decide the noise."""

    temperature: float = 0.75
    top_k: int = 50  # 0: no limit
    top_p: float = 0.85
    repetition_penalty: float = 5.0
    seed: int = 0
    is_greedy: bool = False
    num_forced_codes: int | None = None  # exactly so many codes, stop never chosen

    def __post_init__(self) -> None:
        assert self.temperature > 0.0 and self.top_k >= 0 and 0.0 < self.top_p <= 1.0
        assert self.repetition_penalty > 0.0
        assert self.num_forced_codes is None or self.num_forced_codes > 0


@dataclass(frozen=True)
class Prompt:
    """One sentence for the engine."""

    text_tokens: tuple[int, ...]  # without START and STOP
    voice: "VoiceLatents"
    sampling: SamplingParams
    speed: float = 1.0
    chunk_codes: tuple[int, ...] = STREAMING_CHUNKS
    delay_s: float = 0.0  # its audio is wanted so much later than if it were asked for alone
    is_continuation: bool = False  # of speech that was let in: a full queue does not refuse it
    max_codes: int | None = None  # ended there: by then the text was surely said
    ends_loops: bool = False  # ended where the same codes come over and over

    def __post_init__(self) -> None:
        assert self.text_tokens and all(n > 0 for n in self.chunk_codes)
        assert self.delay_s >= 0.0


class Status(Enum):
    WAITING = auto()  # no slot yet
    RUNNING = auto()  # holds a slot, gets codes
    RENDERING = auto()  # all codes there, slot given back, audio still to be made
    FINISHED = auto()
    FAILED = auto()
    ABORTED = auto()

    @property
    def is_over(self) -> bool:
        return self in (Status.FINISHED, Status.FAILED, Status.ABORTED)


class FinishReason(Enum):
    STOP = auto()  # the model said so
    LENGTH = auto()  # the forced number of codes
    CEILING = auto()  # the prompt's `max_codes` without an end
    LOOP = auto()  # went round in circles

    @property
    def is_guards(self) -> bool:
        """Whether a guard ended it, and not the model."""
        return self in (FinishReason.CEILING, FinishReason.LOOP)


@dataclass(eq=False)
class Sequence:
    """One row of work and where it stands. Owned by the engine thread once added."""

    sequence_id: int
    prompt: Prompt
    arrival_s: float = 0.0
    status: Status = Status.WAITING
    slot: int | None = None
    num_codes: int = 0  # known
    num_ahead: int = 0  # further codes, begun and still on their way from the device
    started_s: float = 0.0
    num_memory_failures: int = 0  # steps in a row in which it found no memory though it was alone
    finish_reason: FinishReason | None = None

    @property
    def num_begun(self) -> int:
        return self.num_codes + self.num_ahead

    @property
    def num_prefix_rows(self) -> int:
        """Rows of the cache that it fills before its first code."""
        return len(self.prompt.text_tokens) + PREFIX_EXTRA_ROWS

    @property
    def num_cached(self) -> int:
        """Rows of the cache that it fills, its last code not among them."""
        return self.num_prefix_rows + self.num_begun - 1

    @property
    def due_s(self) -> float:
        """When its first audio is wanted, on the clock of `arrival_s`."""
        return self.arrival_s + self.prompt.delay_s


@dataclass(frozen=True)
class SequenceOutput:
    """A run of audio of one sequence; the last one says why it ended."""

    samples: npt.NDArray[np.float32]  # [n] mono at 24 kHz
    num_codes: int  # so far
    finish_reason: FinishReason | None = None
    queue_s: float = 0.0  # waited for a slot
    codes: tuple[int, ...] = field(default=())  # all codes, with the last output only


@dataclass(frozen=True)
class EngineLoad:
    """How much of the engine is asked for now."""

    num_slots: int
    num_wanted_slots: int  # by the sequences that run and those that wait
    oldest_wait_s: float


@dataclass(frozen=True)
class EngineStats:
    """Counters since the start."""

    num_steps: int = 0
    num_prefills: int = 0
    num_decode_rows: int = 0
    num_codes: int = 0
    num_near_ties: int = 0
    num_samples: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    render_s: float = 0.0
