"""SSML in every route that takes text: its parts are turns, its errors name the route's field."""

from typing import Any

import pytest

from serve_app.speech.request import Turn
from tests.api.conftest import Server

SSML = (
    "<speak>One <say-as interpret-as='digits'>42</say-as><break time='1s'/><prosody rate='fast'>two</prosody></speak>"
)


def turns_of(server: Server, route: str, body: dict[str, Any]) -> tuple[Turn, ...]:
    answer = server.client.post(route, json=body)
    assert answer.status_code == 200, answer.text
    return server.backend.requests[-1].turns


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/v1/audio/speech", {"input": SSML, "text_format": "ssml", "speed": 0.8}),
        ("/synthesize_base64", {"text": SSML, "text_format": "ssml", "speed": 0.8, "lang": "en"}),
        ("/v1/audio/dialogue", {"turns": [{"text": SSML, "text_format": "ssml", "speed": 0.8}]}),
    ],
)
def test_each_part_is_a_turn(server: Server, route: str, body: dict[str, Any]) -> None:
    first, second = turns_of(server, route, body)
    assert (first.text, first.pause_s, first.speed) == ("One four two", 0.0, 0.8)
    assert (second.text, second.pause_s, second.speed) == ("two", 1.0, 1.0)


def test_text_is_no_ssml_unless_asked(server: Server) -> None:
    (turn,) = turns_of(server, "/v1/audio/speech", {"input": SSML})
    assert turn.text == SSML


def test_turns_pause_comes_before_the_first_part(server: Server) -> None:
    body = {"turns": [{"text": "a"}, {"text": SSML, "text_format": "ssml", "pause_s": 0.5}]}
    assert [turn.pause_s for turn in turns_of(server, "/v1/audio/dialogue", body)] == [0.0, 0.5, 1.0]


def test_language_is_found_in_the_text_alone(server: Server) -> None:
    body = {"text_format": "ssml", "language": "auto"}
    inside = "<p>Guten Tag, wie geht es dir heute?</p>" * 3
    assert turns_of(server, "/v1/audio/speech", {"input": f"<speak>{inside}</speak>", **body})[0].language == "de"


@pytest.mark.parametrize(
    ("route", "body", "param"),
    [
        ("/v1/audio/speech", {"input": "<speak><mark name='a'/>a</speak>"}, "input"),
        ("/v1/audio/speech", {"input": SSML, "speed": 2.0}, "input"),
        ("/synthesize_base64", {"text": "<speak>", "lang": "en"}, "text"),
    ],
)
def test_refusal_names_the_field(server: Server, route: str, body: dict[str, Any], param: str) -> None:
    answer = server.client.post(route, json={"text_format": "ssml", **body})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert server.backend.requests == []


def test_refusal_names_the_turn(server: Server) -> None:
    body = {"turns": [{"text": "a"}, {"text": "<speak>", "text_format": "ssml"}]}
    answer = server.client.post("/v1/audio/dialogue", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "turns.1.text")
