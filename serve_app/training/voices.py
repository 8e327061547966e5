"""The voices that `mini` learns: which teacher says how many sentences, moved how far. Pure data."""

import random
from dataclasses import dataclass

from serve_app.training.teachers import Flite, Joe, Shift, Teacher

FLITE_LICENCE = "BSD-like (Carnegie Mellon University, flite)"
JOE_LICENCE = "CC0 (recordings), MIT (Piper's training code and model)"


@dataclass(frozen=True)
class TrainingVoice:
    """`teacher` is `joe` or a voice of flite. A voice with a description is shipped by its name."""

    name: str
    teacher: str
    shift: Shift
    num_sentences: int
    description: str = ""

    def make_teacher(self) -> Teacher:
        return Joe(self.shift) if self.teacher == "joe" else Flite(self.teacher, self.shift)

    @property
    def licence(self) -> str:
        return JOE_LICENCE if self.teacher == "joe" else FLITE_LICENCE


NAMED = (
    TrainingVoice("joe", "joe", Shift(), 5_000, "male, American"),
    TrainingVoice("stella", "slt", Shift(), 4_000, "female, American"),
    TrainingVoice("ross", "rms", Shift(), 3_000, "male, American, deep"),
    TrainingVoice("alan", "awb", Shift(), 3_000, "male, Scottish"),
    TrainingVoice("clara", "rms", Shift(1.17, 1.9), 2_500, "female, American, bright"),
    TrainingVoice("nora", "slt", Shift(0.9, 0.85), 2_000, "female, American, low"),
)
NUM_FLITE_SHIFTED, FLITE_SENTENCES = 40, 130
NUM_JOE_SHIFTED, JOE_SENTENCES = 10, 120


def all_voices() -> list[TrainingVoice]:
    """The named ones and many others, so that a voice is heard as a point in a space and not as one of six."""
    draw = random.Random(11)
    others = [_shifted_flite(draw, number) for number in range(NUM_FLITE_SHIFTED)]
    for number in range(NUM_JOE_SHIFTED):
        size = draw.uniform(0.86, 1.22)
        others.append(TrainingVoice(f"joe-{number:02}", "joe", Shift(size, size), JOE_SENTENCES))
    return [*NAMED, *others]


def _shifted_flite(draw: random.Random, number: int) -> TrainingVoice:
    teacher = draw.choice(("rms", "awb", "slt"))
    size = draw.uniform(0.88, 1.12) if teacher == "slt" else draw.uniform(0.9, 1.22)
    highest = 1.2 if teacher == "slt" else 1.0 + 5.0 * max(0.05, size - 1.0)
    pitch = draw.uniform(0.72 if teacher == "slt" else 0.85, highest)
    return TrainingVoice(f"flite-{number:02}", teacher, Shift(size, pitch), FLITE_SENTENCES)
