"""POST /v1/audio/dialogue: turns in their order and voices, and refusals that name the turn."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from serve_app.speech.request import SpeechRequest, Turn, VoiceChoice
from tests.api.conftest import Server
from tests.api.test_report import wav_bytes
from tests.fakes import sine_for

ROUTE = "/v1/audio/dialogue"
TURNS = [
    {"voice": "anna", "text": "Who is there?"},
    {"speaker_id": "default", "text": "It is I.", "pause_s": 0.4, "speed": 2.0, "language": "de"},
]
SPOKEN = SpeechRequest(
    (
        Turn("Who is there?", "en", VoiceChoice((("anna", 1.0),))),
        Turn("It is I.", "de", speed=2.0, pause_s=0.4),
    ),
    seed=3,
)


def ask(server: Server, turns: list[dict[str, Any]], **fields: object) -> Any:
    return server.client.post(ROUTE, json={"turns": turns, "response_format": "pcm", "seed": 3, **fields})


def test_dialogue_is_its_turns_one_after_the_other(server: Server) -> None:
    answer = ask(server, TURNS)
    assert (answer.status_code, answer.headers["content-language"]) == (200, "en, de")
    samples = np.frombuffer(answer.content, "<i2") / 32_768
    np.testing.assert_allclose(samples, sine_for(SPOKEN), atol=1e-4)
    assert server.backend.requests[0] == SPOKEN


def test_events_tell_when_each_turn_is_heard(server: Server) -> None:
    lines = ask(server, TURNS, stream_format="sse").text.split("\n\n")
    *deltas, done = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    assert b"".join(base64.b64decode(each["audio"]) for each in deltas) == ask(server, TURNS).content
    first_s, second_s = len("Who is there?") * 0.05, len("It is I.") * 0.05 / 2
    assert [each["turn_index"] for each in done["sentences"]] == [0, 1]
    assert done["turns"][0] == {"start_s": 0.0, "end_s": pytest.approx(first_s)}
    assert done["turns"][1] == {
        "start_s": pytest.approx(first_s + 0.4),
        "end_s": pytest.approx(first_s + 0.4 + second_s),
    }


def test_language_of_the_dialogue_is_the_turns_default(server: Server) -> None:
    german, english = {"text": "Guten Tag, wie geht es dir?"}, {"text": "How do you do, my friend?"}
    ask(server, [english, {"text": "two", "language": "en"}, german], language="de")
    ask(server, [german, english], language="auto")
    assert [turn.language for turn in server.backend.requests[0].turns] == ["de", "en", "de"]
    assert [turn.language for turn in server.backend.requests[1].turns] == ["de", "en"]


def test_turn_may_bring_its_own_voice(server: Server) -> None:
    recording = base64.b64encode(wav_bytes()).decode()
    ask(server, [{"text": "a"}, {"text": "b", "reference_audio_b64": recording}])
    first, second = server.backend.requests[0].turns
    assert first.voice.reference is None and second.voice.reference is not None


@pytest.mark.parametrize(
    ("turn", "status", "code", "param"),
    [
        ({"text": " "}, 400, "empty_text", "turns.1.text"),
        ({"text": "🙂"}, 400, "empty_text", "turns.1.text"),
        ({"text": "x", "voice": "nobody"}, 404, "voice_not_found", "turns.1.voice"),
        ({"text": "x", "language": "tlh"}, 422, "unsupported_language", "turns.1.language"),
        ({"text": "x", "reference_audio_b64": "%"}, 422, "invalid_base64", "turns.1.reference_audio_b64"),
        ({"text": "x", "speed": 3}, 422, "invalid_field", "turns.1.speed"),
        ({"text": "x", "pause_s": 11}, 422, "invalid_field", "turns.1.pause_s"),
        ({"text": "x" * 200}, 422, "text_too_long", "turns"),
    ],
)
def test_refusal_names_the_turn(server: Server, turn: dict[str, Any], status: int, code: str, param: str) -> None:
    answer = ask(server, [{"text": "fine"}, turn])
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert server.backend.requests == []


@pytest.mark.parametrize("turns", [[], [{"text": "x"}] * 201])
def test_number_of_turns_is_bounded(server: Server, turns: list[dict[str, Any]]) -> None:
    assert ask(server, turns).status_code == 422
