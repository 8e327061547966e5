"""What fine-tuning changed: the same sentences before and after, through the service, judged by ears.

Where Whisper or Resemblyzer are not installed, their column says so.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serve_app.audio.pcm import Recording, Samples
from serve_app.settings import make_settings
from serve_app.speech.request import collect, one_turn
from serve_app.speech.service import SpeechService
from serve_app.training.hearing import Ears, Heard, VoiceEar, similarity, word_error_rate

logger = logging.getLogger(__name__)

NOT_INSTALLED = "not installed"


@dataclass(frozen=True)
class Judged:
    """One model: word error rate (by Whisper) and mean cosine to the real voice (by Resemblyzer); None where the
    package is missing."""

    name: str
    word_errors: float | None
    likeness: float | None
    seconds: float  # of speech, on average a sentence


def judge(
    name: str, spoken: Sequence[Recording], sentences: Sequence[str], language: str, real: Sequence[Recording]
) -> Judged:
    """Recordings that say `sentences`, against what they should say and against the real voice."""
    errors = likeness = None
    try:
        ears = Ears()
        heard = [
            Heard(sentence, ears.transcribe(each.samples, each.sample_rate_hz, language), language)
            for sentence, each in zip(sentences, spoken, strict=True)
        ]
        errors = word_error_rate(heard)
    except ImportError as error:
        logger.warning("no word error rate: %s", error)
    try:
        ear = VoiceEar()
        voice = np.mean([ear.embed(each.samples, each.sample_rate_hz) for each in real], axis=0)
        voice = (voice / np.linalg.norm(voice)).astype(np.float32)
        likeness = float(np.mean([similarity(ear.embed(each.samples, each.sample_rate_hz), voice) for each in spoken]))
    except ImportError as error:
        logger.warning("no likeness: %s", error)
    return Judged(name, errors, likeness, float(np.mean([each.duration_s for each in spoken])))


def speak(model: str, reference: Recording, sentences: Sequence[str], language: str) -> list[Recording]:
    """`sentences` by the service with this model, in the voice of `reference`."""
    return [Recording(samples, 24_000) for samples in asyncio.run(_speak(model, reference, sentences, language))]


async def _speak(model: str, reference: Recording, sentences: Sequence[str], language: str) -> list[Samples]:
    service = SpeechService.load(make_settings(model=model), lambda _: None)
    try:
        spoken: list[Samples] = []
        for number, sentence in enumerate(sentences):
            request = one_turn(sentence, language, reference=reference, seed=number, is_streaming=False)
            spoken.append((await collect(service.stream(request)))[0])
        return spoken
    finally:
        service.close()


def table(rows: Sequence[Judged]) -> str:
    """As Markdown."""
    lines = ["| model | word errors | likeness to the voice | seconds a sentence |", "| --- | --- | --- | --- |"]
    for row in rows:
        errors = NOT_INSTALLED if row.word_errors is None else f"{row.word_errors:.1%}"
        likeness = NOT_INSTALLED if row.likeness is None else f"{row.likeness:.3f}"
        lines.append(f"| {row.name} | {errors} | {likeness} | {row.seconds:.2f} |")
    return "\n".join(lines)


def before_and_after(
    base: Path,
    tuned: Path,
    reference: Recording,
    real: Sequence[Recording],
    sentences: Sequence[str],
    language: str,
    report: Callable[[str], None],
) -> str:
    """The table for the base and the fine-tuned model, both given the same reference."""
    rows = [judge("the recordings themselves", real[: len(sentences)], sentences, language, real)]
    for name, model in (("before", base), ("after", tuned)):
        report(f"listening to the model {name} fine-tuning")
        spoken = speak(str(model), reference, sentences, language)
        rows.append(judge(name, spoken, sentences, language, real))
    return table(rows)
