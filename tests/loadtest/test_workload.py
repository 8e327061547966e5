"""The model of traffic: the same seed gives the same requests, in the shares that were asked for."""

import json
from collections import Counter
from random import Random

import pytest

from loadtest.workload.presets import PRESETS, Preset
from loadtest.workload.request import Format, Request, Voice, Way
from loadtest.workload.texts import Length, Text, TextMix, corpora
from loadtest.workload.workload import Workload
from serve_app.text.detection import detect_language
from serve_app.text.languages import LANGUAGES

ALL = tuple(LANGUAGES)


def record(rng: Random) -> bytes:
    return b"RIFF" + rng.randbytes(8)


def drawn(num: int, preset: str = "mixed", seed: int = 1) -> list[Request]:
    workload = Workload(PRESETS[preset], seed, ALL, record, named=("default", "anna"))
    return [workload.next() for _ in range(num)]


def share(requests: list[Request], has: object) -> float:
    return sum(map(has, requests)) / len(requests)  # type: ignore[call-overload]


def test_every_language_has_texts_of_its_own() -> None:
    assert set(corpora()) == set(LANGUAGES)
    for language, corpus in corpora().items():
        assert len(set(corpus.turns)) >= 6 and len(set(corpus.story)) >= 6
        assert max(map(len, corpus.turns)) < 80
        assert detect_language(" ".join(corpus.story), ALL, default="tlh") == language


@pytest.mark.parametrize("preset", PRESETS)
def test_seed_gives_the_same_requests(preset: str) -> None:
    assert drawn(200, preset) == drawn(200, preset)
    assert drawn(200, preset) != drawn(200, preset, seed=2)


def test_shares_are_those_of_the_preset() -> None:
    requests, preset = drawn(4_000), PRESETS["mixed"]
    assert share(requests, lambda each: each.text.language == "en") == pytest.approx(preset.english_share, abs=0.03)
    assert share(requests, lambda each: each.is_stream) == pytest.approx(preset.streaming_share, abs=0.03)
    assert share(requests, lambda each: each.voice.is_cold) == pytest.approx(preset.cold_share, abs=0.015)
    cloned = preset.cloned_share + preset.cold_share
    assert share(requests, lambda each: each.voice.recording is not None) == pytest.approx(cloned, abs=0.03)
    assert share(requests, lambda each: each.text.length is Length.PARAGRAPH) == pytest.approx(0.2, abs=0.03)
    assert {each.way for each in requests} == set(Way)
    assert {each.format for each in requests} == set(Format)
    assert {each.text.language for each in requests} == set(ALL)
    assert Counter(each.is_sampled and not each.format.is_exact for each in requests)[True] == 0


def test_cold_voice_comes_once_and_warm_ones_again() -> None:
    requests = drawn(2_000)
    recordings = Counter(each.voice.recording for each in requests if each.voice.recording is not None)
    cold = {each.voice.recording for each in requests if each.voice.is_cold}
    assert cold and all(recordings[recording] == 1 for recording in cold)
    assert len(recordings) - len(cold) == PRESETS["mixed"].num_recordings


def test_known_voices_are_all_that_are_not_cold() -> None:
    workload = Workload(PRESETS["mixed"], 1, ALL, record, named=("default", "anna"))
    voices = {each.voice for each in (workload.next() for _ in range(2_000)) if not each.voice.is_cold}
    assert voices == set(workload.known_voices)


def test_without_recordings_nobody_clones() -> None:
    workload = Workload(PRESETS["mixed"], 1, ALL)
    assert {workload.next().voice for _ in range(500)} == {Voice()}


def test_only_languages_of_the_model_are_spoken() -> None:
    workload = Workload(PRESETS["mixed"], 1, ("de", "ja", "tlh"))
    assert {workload.next().text.language for _ in range(300)} == {"de", "ja"} == set(workload.languages)


def test_model_of_no_known_language_is_refused() -> None:
    with pytest.raises(ValueError, match="tlh"):
        Workload(PRESETS["mixed"], 1, ("tlh",))


@pytest.mark.parametrize("num_chars", [5, 30, 120, 700, 2_000])
def test_text_of_a_trace_has_about_its_length(num_chars: int) -> None:
    mix, rng = TextMix(("en",), {Length.TURN: 1}), Random(1)
    for _ in range(50):
        text = mix.draw(rng, num_chars).text
        assert num_chars - 10 <= len(text) <= num_chars + 130


def test_paragraph_is_sentences_that_follow_one_another() -> None:
    mix, rng = TextMix(("ja",), {Length.PARAGRAPH: 1}), Random(1)
    story = "".join(corpora()["ja"].story)
    assert all(mix.draw(rng).text in story for _ in range(50))


def test_mix_without_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="weight"):
        TextMix(("en",), {})


@pytest.mark.parametrize("way", Way)
def test_call_carries_all_of_the_request(way: Way) -> None:
    voice = Voice("anna", b"RIFF1234" if way is Way.UPLOAD else None)
    request = Request(1, Text("Hello.", "en", Length.TURN), voice, way, Format.WAV, 1.25, 77)
    call = request.call()
    if way is Way.UPLOAD:
        assert b"RIFF1234" in call.body and b'name="seed"\r\n\r\n77' in call.body
        return
    said = json.loads(call.body)
    named = {"voice": "anna", "input": "Hello.", "language": "en", "response_format": "wav"}
    whole = {"speaker_id": "anna", "text": "Hello.", "lang": "en"}
    assert said == {**(whole if way is Way.WHOLE else named), "speed": 1.25, "seed": 77}


def test_preset_of_more_than_everything_is_our_mistake() -> None:
    with pytest.raises(AssertionError):
        Preset(lengths={Length.TURN: 1}, formats={Format.PCM: 1}, cloned_share=0.7, cold_share=0.4)
