"""Encoders at several efforts, on a reading: the distance knows the same from another, the table has all there is."""

import numpy as np
import pytest
import soxr

from loadtest import encoder_choices
from loadtest.encoder_choices import EFFORTS, choice_lines, spectral_distance_db, with_effort
from serve_app.audio.compressed import CODECS
from serve_app.audio.pcm import Samples
from tests.voices.recordings import CLONE_TEST, excerpt

LATE = 1_000  # samples


def spoken() -> Samples:
    return excerpt(CLONE_TEST, 0.0, 4.0).samples


def test_distance_is_none_to_itself_though_it_comes_late() -> None:
    assert spectral_distance_db(spoken(), spoken()) == 0.0
    late = np.concatenate([np.zeros(LATE, np.float32), spoken()])
    assert spectral_distance_db(spoken(), late) == 0.0


def test_distance_grows_with_what_is_added() -> None:
    noise = np.random.default_rng(1).normal(0.0, 1.0, len(spoken())).astype(np.float32)
    little, much = (spectral_distance_db(spoken(), spoken() + level * noise) for level in (1e-3, 1e-2))
    assert 0.0 < little < much


def test_effort_is_the_only_thing_that_changes() -> None:
    once = with_effort(CODECS["opus"], 3)
    assert with_effort(once, 5) == with_effort(CODECS["opus"], 5) != once
    assert ("application", "voip") in once.options


@pytest.mark.slow
def test_table_has_every_effort_and_more_effort_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_choices, "reading_at", lambda rate_hz: soxr.resample(spoken(), 16_000, rate_hz))
    _, _, original, *rows = choice_lines()
    assert original.startswith("| as spoken |")
    assert len(rows) == sum(map(len, EFFORTS.values()))
    times = {tuple(cells[:2]): float(cells[2]) for row in rows if (cells := row.strip("| ").split(" | "))}
    assert times["opus", "10"] > 1.2 * times["opus", "0"]
    assert sum(row.endswith("chosen |") for row in rows) == len(EFFORTS)
