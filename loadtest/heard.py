"""What became of one request for speech: the record that every figure of a load test is computed from."""

from dataclasses import dataclass
from enum import StrEnum


class Ending(StrEnum):
    """How a request ended."""

    OK = "ok"
    BUSY = "busy"  # 429, with all that a 429 owes: not an error, the service says that it is full
    UNAVAILABLE = "unavailable"  # 503, likewise
    CUT = "cut"  # after the status, before the last byte
    ERROR = "error"  # anything else; `why` says what


@dataclass(frozen=True)
class Heard:
    """Times `…_s` that are moments are on the clock of the event loop, all on the same one.

    `first_audio_s` is None where no audio came. `num_underruns` and `stalled_s` are those of a player that starts at
    the first audio. `digest` is of the audio file, for sampled requests only.
    """

    number: int
    intended_s: float
    sent_s: float
    first_audio_s: float | None
    ended_s: float
    outcome: Ending
    status: int
    num_chars: int
    language: str
    form: str
    is_stream: bool
    is_cold: bool
    is_cloned: bool
    speed: float
    audio_seconds: float = 0.0
    largest_gap_s: float = 0.0
    num_underruns: int = 0
    stalled_s: float = 0.0
    num_bytes: int = 0
    is_whole: bool = False  # audio of its format to the last byte
    why: str = ""
    digest: str = ""

    @property
    def is_ok(self) -> bool:
        return self.outcome is Ending.OK

    @property
    def lag_s(self) -> float:
        """How late the generator sent it."""
        return self.sent_s - self.intended_s

    @property
    def ttfa_s(self) -> float | None:
        """From when it was to be sent."""
        return None if self.first_audio_s is None else self.first_audio_s - self.intended_s

    @property
    def total_s(self) -> float:
        """From when it was to be sent."""
        return self.ended_s - self.intended_s

    @property
    def rtf(self) -> float | None:
        """Seconds until all was there by second of speech; below 1 it came faster than it is spoken."""
        return self.total_s / self.audio_seconds if self.audio_seconds else None
