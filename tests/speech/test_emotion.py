"""A preset through the whole service: the lengths and places of what is heard, and the speech of `mini`, measured."""

from collections.abc import Generator
from dataclasses import replace

import numpy as np
import pytest

from serve_app.bench.emotion import manner_of
from serve_app.settings import Settings
from serve_app.speech.prosody import PRESETS
from serve_app.speech.request import SpeechRequest, VoiceChoice, one_turn
from serve_app.speech.service import SpeechService
from tests.engine.reference import load
from tests.engine.support import run
from tests.speech.support import SENTENCES, Heard, hear, serving


def in_emotion(request: SpeechRequest, style: str, intensity: float = 1.0) -> SpeechRequest:
    choice = VoiceChoice(style=style, style_intensity=intensity)
    return replace(request, turns=tuple(replace(turn, voice=choice) for turn in request.turns))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Generator[SpeechService]:
    with serving(load("synthetic:tiny")[0], tmp_path_factory.mktemp("voices")) as service:
        yield service


REQUEST = one_turn(" ".join(SENTENCES[:3]), "en", seed=5)


@pytest.mark.parametrize("style", ["happy", "sad", "angry"])
def test_emotion_streamed_equals_whole(tiny: SpeechService, style: str) -> None:
    streamed = run(hear(tiny, in_emotion(REQUEST, style)))
    whole = run(hear(tiny, replace(in_emotion(REQUEST, style), is_streaming=False)))
    assert len(streamed.chunks) > len(whole.chunks)
    assert len(streamed.samples) == len(whole.samples)
    np.testing.assert_allclose(streamed.samples, whole.samples, atol=2e-4)


@pytest.mark.parametrize("style", ["happy", "sad", "angry"])
def test_emotion_has_its_tempo_and_sentences_their_places(tiny: SpeechService, style: str) -> None:
    """This model speaks so many codes for a text, so the tempo is exact."""
    plain, heard = run(hear(tiny, REQUEST)), run(hear(tiny, in_emotion(REQUEST, style)))
    tempo = len(plain.samples) / len(heard.samples)
    assert tempo == pytest.approx(PRESETS[style].speed, rel=0.01)
    starts = np.cumsum([0] + [len(chunk.samples) for chunk in heard.chunks])[:-1]
    assert [chunk.start_sample for chunk in heard.chunks] == starts.tolist()
    for index, timing in enumerate(heard.summary.sentences):
        assert (timing.end_s - timing.start_s) * 24_000 == pytest.approx(len(heard.sentence(index)), abs=1)
    assert "preset" in heard.summary.warnings[0]


def test_neutral_and_no_intensity_change_no_sample(tiny: SpeechService) -> None:
    plain = run(hear(tiny, one_turn(SENTENCES[0], "en", seed=5)))
    for request in (
        in_emotion(one_turn(SENTENCES[0], "en", seed=5), "neutral"),
        in_emotion(one_turn(SENTENCES[0], "en", seed=5), "angry", 0.0),
    ):
        np.testing.assert_array_equal(run(hear(tiny, request)).samples, plain.samples)


def test_extreme_speeds_stay_within_what_the_vocoder_can(tiny: SpeechService) -> None:
    for speed in (0.5, 2.0):
        for style in PRESETS:
            heard: Heard = run(hear(tiny, in_emotion(one_turn(SENTENCES[0], "en", seed=5, speed=speed), style)))
            assert len(heard.samples) > 0
            assert np.abs(heard.samples).max() <= 1.0


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Generator[SpeechService]:
    settings = Settings(model="mini", voice_dir=tmp_path_factory.mktemp("voices"))
    service = SpeechService.load(settings, lambda line: None)
    yield service
    service.close()


@pytest.mark.slow
@pytest.mark.parametrize("style", ["happy", "sad", "angry"])
def test_speech_of_mini_changes_pitch_tempo_and_loudness_as_the_table_says(mini: SpeechService, style: str) -> None:
    text = "The train leaves the station at a quarter past nine. Nobody has counted all the stones on this beach."
    request = one_turn(text, "en", seed=3, is_streaming=False)
    plain, heard = (run(hear(mini, each)) for each in (request, in_emotion(request, style)))
    before, after, asked = manner_of(plain.samples, 24_000), manner_of(heard.samples, 24_000), PRESETS[style]
    assert 12.0 * np.log2(after.pitch_hz / before.pitch_hz) == pytest.approx(asked.pitch_semitones, abs=0.5)
    assert before.duration_s / after.duration_s == pytest.approx(asked.speed, rel=0.08)
    assert after.level_db - before.level_db == pytest.approx(asked.gain_db, abs=1.5)
