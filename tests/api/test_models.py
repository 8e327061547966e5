"""The field `model`, and the routes that list models: OpenAI's clients work unchanged, and a wrong name is told."""

import time
from collections.abc import Generator
from typing import Any

import openai
import pytest

from serve_app.settings import Settings
from tests.api.conftest import Server, running

EXTRA = {"anna": "/models/anna", "news": "/models/news"}
OPENAI_NAMES = ["tts-1", "tts-1-hd", "gpt-4o-mini-tts", "tts-1-1106", "gpt-4o-mini-tts-2025-12-15"]


@pytest.fixture
def several() -> Generator[Server]:
    with running(Settings(extra_models=EXTRA)) as server:
        server.backend.configure(models=("anna",))
        yield server


def spoken_by(server: Server, **body: Any) -> str | None:
    answer = server.client.post("/v1/audio/speech", json={"input": "Hello", "voice": "default", **body})
    assert answer.status_code == 200, answer.text
    return server.backend.requests[-1].model


@pytest.mark.parametrize("name", [None, "", "fake", "xtts", "default", *OPENAI_NAMES])
def test_name_that_means_the_default_model_is_spoken_by_it(several: Server, name: str | None) -> None:
    assert spoken_by(several, model=name) is None


def test_further_model_speaks_with_its_own_voices_and_languages(several: Server) -> None:
    assert spoken_by(several, model="anna", voice="anna") == "anna"
    body = {"input": "Hello", "model": "anna", "voice": "anna"}
    answer = several.client.post("/v1/audio/speech", json={**body, "language": "de"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unsupported_language")
    answer = several.client.post("/v1/audio/speech", json={**body, "voice": "default"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "voice_not_found")


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/v1/audio/speech", {"input": "Hello"}),
        ("/v1/audio/dialogue", {"turns": [{"text": "Hello"}]}),
        ("/synthesize_base64", {"text": "Hello"}),
    ],
)
def test_unknown_model_is_not_found_and_the_answer_names_those_there_are(
    several: Server, route: str, body: dict[str, Any]
) -> None:
    answer = several.client.post(route, json={**body, "model": "piper"})
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "fake, anna, news" in error["message"]


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/v1/audio/dialogue", {"turns": [{"text": "Hello", "voice": "anna", "language": "en"}]}),
        ("/synthesize_base64", {"text": "Hello", "speaker_id": "anna", "lang": "en"}),
    ],
)
def test_every_route_of_speech_takes_a_model(several: Server, route: str, body: dict[str, Any]) -> None:
    assert several.client.post(route, json={**body, "model": "anna"}).status_code == 200
    assert several.backend.requests[-1].model == "anna"


@pytest.mark.parametrize("name", ["tts-1", "kokoro", "anything at all"])
def test_single_model_speaks_whatever_the_client_calls_it(server: Server, name: str) -> None:
    assert spoken_by(server, model=name) is None


def test_model_may_take_the_name_of_openais() -> None:
    with running(Settings(extra_models={"tts-1-hd": "/models/large"})) as server:
        server.backend.configure(models=("tts-1-hd",))
        assert spoken_by(server, model="tts-1-hd", voice="tts-1-hd") == "tts-1-hd"
        assert spoken_by(server, model="tts-1") is None


def test_model_that_cannot_be_loaded_is_unavailable_and_others_go_on(several: Server) -> None:
    answer = several.client.post("/v1/audio/speech", json={"input": "Hello", "model": "news"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert spoken_by(several) is None


def test_models_are_listed_with_the_default_one_first(several: Server) -> None:
    models = several.client.get("/v1/models").json()["data"]
    assert [each["id"] for each in models] == ["fake", "anna", "news"]
    assert models[1]["languages"] == ["en", "ko"]
    assert models[2]["languages"] == []  # nothing can be read of it


def test_one_model_is_told_by_its_name(several: Server) -> None:
    client = openai.OpenAI(base_url=f"{several.url}/v1", api_key="none", max_retries=0)
    assert [client.models.retrieve(name).id for name in ("fake", "anna")] == ["fake", "anna"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("tts-1")


def test_voices_are_of_the_model_that_is_asked_for(several: Server) -> None:
    def names(**query: str) -> list[str]:
        return [voice["id"] for voice in several.client.get("/v1/audio/voices", params=query).json()["voices"]]

    assert names() == names(model="tts-1") == ["default", "anna", "gone"]
    assert names(model="anna") == ["anna"]
    assert several.client.get("/v1/audio/voices", params={"model": "piper"}).status_code == 404


def test_model_is_in_the_log(several: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "serve_app.requests")
    spoken_by(several, model="anna", voice="anna")
    deadline_s = time.perf_counter() + 5.0
    while not any(getattr(record, "facts", {}).get("model") == "anna" for record in caplog.records):
        assert time.perf_counter() < deadline_s, "no line names the model"
        time.sleep(0.01)


def test_preview_is_spoken_by_the_model_that_is_asked_for(several: Server) -> None:
    answer = several.client.get("/v1/audio/voices/anna/preview", params={"model": "anna"})
    assert answer.status_code == 200 and several.backend.requests[-1].model == "anna"
