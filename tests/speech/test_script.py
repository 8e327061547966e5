"""Requests of several turns, and of texts with a user's pronunciations, on a real engine with small weights."""

import time
from collections.abc import Generator
from contextlib import aclosing
from dataclasses import replace

import pytest

from serve_app.errors import RequestError
from serve_app.model.checkpoint import Checkpoint
from serve_app.speech.request import SpeechRequest, Turn, VoiceChoice, one_turn
from serve_app.speech.script import Script
from serve_app.speech.service import SpeechService
from serve_app.text.dictionary import Dictionary
from tests.engine.support import largest_difference, run
from tests.speech.support import SENTENCES, hear, serving


@pytest.fixture(scope="module")
def service(tiny_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Generator[SpeechService]:
    with serving(tiny_checkpoint, tmp_path_factory.mktemp("voices")) as service:
        yield service


def test_dialogue_is_its_turns_spoken_alone(service: SpeechService) -> None:
    turns = (
        Turn(" ".join(SENTENCES[:2]), "en"),
        Turn(SENTENCES[2], "es", VoiceChoice((("other", 1.0),)), speed=2.0, pause_s=0.5),
        Turn(SENTENCES[3], "en"),
    )
    heard = run(hear(service, SpeechRequest(turns, seed=5)))
    assert [each.turn_index for each in heard.summary.sentences] == [0, 0, 1, 2]
    assert [chunk.turn_index for chunk in heard.chunks] == sorted(chunk.turn_index for chunk in heard.chunks)
    (first, second, third) = heard.summary.turns
    assert second[0] == pytest.approx(first[1] + 0.5) and third[0] == second[1]
    pieces = [heard.samples[round(start_s * 24_000) : round(end_s * 24_000)] for start_s, end_s in heard.summary.turns]
    alone = run(hear(service, SpeechRequest(turns[:1], seed=5)))
    assert largest_difference(pieces[0], alone.samples) < 1e-4
    of_other = run(hear(service, SpeechRequest((replace(turns[1], voice=VoiceChoice()),), seed=5)))
    assert len(of_other.samples) == len(pieces[1]) + 12_000
    assert largest_difference(pieces[1], of_other.samples[12_000:]) > 0.01


def test_dialogues_error_names_the_turn(service: SpeechService) -> None:
    for turn, field in (
        (Turn("...", "en"), "turns.1.text"),
        (Turn("x", "tlh"), "turns.1.language"),
        (Turn("x", "en", VoiceChoice((("nobody", 1.0),))), "turns.1.voice"),
    ):
        with pytest.raises(RequestError) as refused:
            run(hear(service, SpeechRequest((Turn(SENTENCES[0], "en"), turn))))
        assert refused.value.field == field


def test_pronunciations_change_what_is_spoken(service: SpeechService) -> None:
    turn = Turn(SENTENCES[0], "en", pronunciations=(("fox", "phoenix"),))
    heard = run(hear(service, SpeechRequest((turn,), seed=5)))
    assert heard.summary.sentences[0].text == SENTENCES[0].replace("fox", "phoenix")


def test_long_text_is_heard_before_it_is_read_to_its_end(
    service: SpeechService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A book's worth of text: the script is a block ahead of the listener, never the whole book."""
    scripts = []
    extend = Script.extend

    def watched(script: Script, num_sentences: int) -> None:
        scripts.append(script)
        extend(script, num_sentences)

    monkeypatch.setattr(Script, "extend", watched)

    async def begin() -> int:
        async with aclosing(service.stream(one_turn(f"{SENTENCES[0]} " * 5_000, "en"))) as stream:
            await anext(stream)
            return len(scripts[0].sentences)

    started_s = time.perf_counter()
    num_sentences = run(begin())
    assert 8 <= num_sentences < 200
    assert time.perf_counter() - started_s < 5.0


def test_text_of_several_blocks_is_spoken_whole(service: SpeechService, monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(SENTENCES)
    at_once = run(hear(service, one_turn(text, "en", seed=5)))
    monkeypatch.setattr("serve_app.text.pauses.BLOCK_CHARS", 50)
    in_blocks = run(hear(service, one_turn(text, "en", seed=5)))
    assert largest_difference(at_once.samples, in_blocks.samples) < 1e-4
    assert [each.text for each in in_blocks.summary.sentences] == list(SENTENCES)


def test_words_of_the_service_are_said_as_it_says(service: SpeechService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_dictionary", Dictionary({"en": {"fox": "phoenix", "dog": "hound"}}))
    turn = Turn(SENTENCES[0], "en", pronunciations=(("dog", "wolf"),))
    heard = run(hear(service, SpeechRequest((turn,), seed=5)))
    assert heard.summary.sentences[0].text == "The quick brown phoenix jumps over the wolf."
