"""What requests ask for: lengths of texts, cold voices, streaming."""

from dataclasses import dataclass
from math import ceil, log
from typing import Literal

import numpy as np
import numpy.typing as npt

from loadtest.planner.profile import STRICT, Profile
from serve_app.engine.sequence import PREFIX_EXTRA_ROWS
from serve_app.errors import SettingsError

MAX_CODES = 450  # a sentence that would take more is split


@dataclass(frozen=True)
class Workload:
    """`lengths`, where given, are drawn from as they are; else characters follow the distribution."""

    __pydantic_config__ = STRICT

    median_chars: float = 120.0
    distribution: Literal["lognormal", "exponential", "fixed"] = "lognormal"
    sigma: float = 0.7  # of a log-normal
    lengths: tuple[int, ...] = ()  # of real texts, in characters
    max_chars: int = 5_000
    chars_per_s: float = 15.0  # spoken
    chars_per_token: float = 3.0
    sentence_chars: int = 90  # a text is cut into equal parts of at most so many
    cold_voice_share: float = 0.0
    streamed_share: float = 1.0

    def __post_init__(self) -> None:
        for name in ("cold_voice_share", "streamed_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise SettingsError(f"{name} is a share, from 0 to 1")
        for name in ("median_chars", "sigma", "max_chars", "chars_per_s", "chars_per_token", "sentence_chars"):
            if not getattr(self, name) > 0.0:
                raise SettingsError(f"{name} must be above 0")
        if any(length < 1 for length in self.lengths):
            raise SettingsError("a text has one character at least")

    def draw(self, number: int, rng: np.random.Generator) -> "Asked":
        """What `number` requests ask for."""
        cold = rng.random(number) < self.cold_voice_share
        streamed = rng.random(number) < self.streamed_share
        return Asked(self._chars(number, rng), cold, streamed)

    def _chars(self, number: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        if self.lengths:
            chars = rng.choice(np.array(self.lengths, dtype=np.float64), number)
        elif self.distribution == "lognormal":
            chars = self.median_chars * np.exp(self.sigma * rng.standard_normal(number))
        elif self.distribution == "exponential":
            chars = rng.exponential(self.median_chars / log(2.0), number)
        else:
            chars = np.full(number, self.median_chars)
        return np.clip(np.round(chars), 1, self.max_chars).astype(np.int64)

    def sentences(self, num_chars: int, profile: Profile) -> tuple[int, int, int]:
        """How many, and of each the codes and the rows of its prefix."""
        longest = min(self.sentence_chars, int(MAX_CODES / profile.codes_per_s * self.chars_per_s))
        number = ceil(num_chars / max(1, longest))
        chars = num_chars / number
        codes = max(1, round(chars / self.chars_per_s * profile.codes_per_s))
        return number, codes, PREFIX_EXTRA_ROWS + ceil(chars / self.chars_per_token)

    def mean_audio_s(self) -> float:
        """Of a request, from ten thousand draws."""
        return float(self._chars(10_000, np.random.default_rng(0)).mean()) / self.chars_per_s


@dataclass(frozen=True)
class Asked:
    """Of each request: characters, whether its voice is cold, whether it is streamed. [n] each."""

    num_chars: npt.NDArray[np.int64]
    is_cold: npt.NDArray[np.bool_]
    is_streamed: npt.NDArray[np.bool_]
