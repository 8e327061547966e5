"""Stage `data`: the teachers say their sentences. Stops and resumes at any sentence."""

import logging
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from serve_app.model.pronunciation import Pronouncer
from serve_app.training import corpus
from serve_app.training.recordings import VoiceFolder
from serve_app.training.voices import TrainingVoice

logger = logging.getLogger(__name__)

NUM_SPARED = 300  # sentences that no voice says
SHORT_WORDS, SHORT_SHARE = 5, 0.3  # of the sentences this short, so many are kept
MAX_S = 14.0
REPORT_EVERY = 250

Progress = Callable[[str], None]


def training_sentences(candidates: Sequence[str], held_out: Sequence[str]) -> list[str]:
    """The candidates without those held out, and without most of the very short ones."""
    everything = corpus.without(candidates, held_out)
    draw = random.Random(3)
    kept = [each for each in everything if len(each.split()) > SHORT_WORDS or draw.random() < SHORT_SHARE]
    return kept[NUM_SPARED:]


def assign(sentences: Sequence[str], voices: Sequence[TrainingVoice]) -> dict[str, list[str]]:
    """Each voice's sentences, no sentence twice before all were used once."""
    assigned, position = {}, 0
    for voice in voices:
        assigned[voice.name] = [sentences[(position + i) % len(sentences)] for i in range(voice.num_sentences)]
        position += voice.num_sentences
    return assigned


def record(voice: TrainingVoice, sentences: Sequence[str], pronounce: Pronouncer, root: Path, report: Progress) -> None:
    """Has the teacher say what is missing of `sentences`, one after another, into `root / voice.name`."""
    folder = VoiceFolder(root / voice.name)
    done = folder.recordings()
    start = done[-1].start + done[-1].num_samples if done else 0
    position = sentences.index(done[-1].text) + 1 if done else 0
    teacher = voice.make_teacher() if position < len(sentences) else None
    for number, text in enumerate(sentences[position:], start=position + 1):
        assert teacher is not None
        spoken = teacher.say(text, pronounce(text.lower()))
        if spoken is not None and len(spoken.samples) <= MAX_S * 22_050:
            tokens = [token.token for token in spoken.tokens]
            folder.append(text, spoken.samples, tokens, [token.end_s for token in spoken.tokens], start)
            start += len(spoken.samples)
        if number % REPORT_EVERY == 0 or number == len(sentences):
            report(f"{voice.name}: {number} of {len(sentences)} sentences, {start / 22_050 / 3_600:.2f} hours")
