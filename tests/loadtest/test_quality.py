"""Real recordings, judged: words, sound and voice, each told apart from a worse one."""

import numpy as np
import pytest

from loadtest.compare.listening import Listened, Text
from loadtest.quality import Judges, judge_beside_each_other, quality_table
from tests.voices.recordings import CLONE_TEST, TWO_CITIES, excerpt

pytestmark = pytest.mark.slow

READ = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness"
END_S = 8.5


def said(name: str, end_s: float, noise: float = 0.0) -> Listened:
    recording = excerpt(name, 0.0, end_s)
    hiss = np.random.default_rng(1).normal(0.0, noise, len(recording.samples))
    samples = np.clip(recording.samples + hiss, -1.0, 1.0).astype(np.float32)
    return Listened(0.1, 1.0, samples, recording.sample_rate_hz)


FAILED = Listened(0.0, 0.1, np.zeros(0, np.float32), 24_000, why="status 500")


def test_each_judge_tells_better_from_worse() -> None:
    text = Text(READ, "en", 0)
    reader, noisy, other = said(TWO_CITIES, END_S), said(TWO_CITIES, END_S, noise=0.05), said(CLONE_TEST, 4.0)
    spoken = {
        "other": [(text, other)],
        "noisy": [(text, noisy)],
        "silent": [(text, FAILED)],
        "reader": [(text, reader)],
    }
    found = judge_beside_each_other(spoken, Judges())
    assert found["silent"] is None
    best, noise, voice = found["reader"], found["noisy"], found["other"]
    assert best is not None and noise is not None and voice is not None
    assert best.words_wrong <= 0.1 and voice.words_wrong > 0.5
    assert best.mos > noise.mos + 0.5 and 1.0 < noise.mos < best.mos < 5.0
    assert best.likeness == pytest.approx(1.0, abs=1e-3)
    assert noise.likeness is not None and voice.likeness is not None
    assert voice.likeness < 0.7
    lines = list(quality_table(found, 1))
    assert lines[0].endswith("voice like that of reader |") and lines[4].startswith("| silent | – |")


def test_nobody_is_like_one_who_did_not_speak() -> None:
    text = Text(READ, "en", 0)
    found = judge_beside_each_other({"reader": [(text, said(TWO_CITIES, END_S))], "last": [(text, FAILED)]}, Judges())
    assert found["reader"] is not None and found["reader"].likeness is None and found["last"] is None
