"""The existing clients' route, called as they call it."""

import base64
import io

import httpx
import numpy as np
import pytest
import soundfile

from serve_app.errors import InvalidAudio, ReferenceTooShort
from serve_app.speech.request import one_turn
from tests.api.conftest import Server
from tests.fakes import sine_for

REPORT_LANGUAGES = ("ko", "ja", "zh-cn", "en", "fr", "de", "es", "it", "pt", "pl", "ru", "nl", "cs", "tr")


def wav_bytes(duration_s: float = 0.5, file_format: str = "WAV") -> bytes:
    samples = 0.3 * np.sin(np.arange(int(16_000 * duration_s)) * 0.05)
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format=file_format)
    return file.getvalue()


def test_synthesize_as_an_existing_client_does(server: Server) -> None:
    body = {"text": "안녕하세요", "lang": "ko", "speed": 1.0, "speaker_wav_b64": None}
    answer = server.client.post("/synthesize_base64", json=body)
    assert answer.status_code == 200
    found = answer.json()
    file = io.BytesIO(base64.b64decode(found["audio_base64"]))
    info = soundfile.info(file)
    assert (info.samplerate, info.channels, info.subtype, info.format) == (24_000, 1, "PCM_16", "WAV")
    file.seek(0)
    samples, _ = soundfile.read(file, dtype="float32")
    np.testing.assert_allclose(samples, sine_for(one_turn("안녕하세요", "ko")), atol=1e-4)
    assert found["mime_type"] == "audio/wav"
    assert 0 < found["processing_time"] < 5
    assert found["sample_rate"] == 24_000
    assert found["duration_s"] == pytest.approx(len(samples) / 24_000)
    assert found["timings"].keys() == {"synthesis", "text", "encoding"}
    assert found["warnings"] == [] and found["seed"] == 1234


def test_sentences_and_captions_say_when_each_is_heard(server: Server) -> None:
    body = {"text": "1 < 2", "lang": "en", "captions": "vtt"}
    found = server.client.post("/synthesize_base64", json=body).json()
    assert found["sentences"] == [{"text": "1 < 2", "start_s": 0.0, "end_s": 0.25}]
    assert found["captions"] == "WEBVTT\n\n00:00:00.000 --> 00:00:00.250\n1 &lt; 2\n"
    found = server.client.post("/synthesize_base64", json={**body, "captions": "srt"}).json()
    assert found["captions"] == "1\n00:00:00,000 --> 00:00:00,250\n1 < 2\n"
    assert server.client.post("/synthesize_base64", json={"text": "x"}).json()["captions"] is None
    assert server.client.post("/synthesize_base64", json={"text": "x", "captions": "ass"}).status_code == 422


@pytest.mark.parametrize("language", REPORT_LANGUAGES)
def test_synthesize_takes_the_reports_languages(server: Server, language: str) -> None:
    assert server.client.post("/synthesize_base64", json={"text": "x", "lang": language}).status_code == 200
    assert server.backend.requests[0].turns[0].language == language


@pytest.mark.parametrize(("languages", "expected"), [(("en", "ko"), "ko"), (("de", "en"), "de")])
def test_language_left_out_is_korean_or_the_models_first(
    server: Server, languages: tuple[str, ...], expected: str
) -> None:
    server.backend.configure(languages=languages)
    assert server.client.post("/synthesize_base64", json={"text": "x"}).status_code == 200
    assert server.backend.requests[0].turns[0].language == expected


def test_reference_seed_and_speed_reach_the_backend(server: Server) -> None:
    reference = base64.b64encode(wav_bytes()).decode()
    body = {"text": "x", "speed": 2, "speaker_wav_b64": reference, "seed": 7}
    assert server.client.post("/synthesize_base64", json=body).json()["seed"] == 7
    request = server.backend.requests[0]
    (turn,) = request.turns
    assert turn.voice.reference is not None and turn.voice.reference.duration_s == 0.5
    assert (turn.speed, request.seed, request.is_streaming) == (2.0, 7, False)


def test_repeated_reference_is_decoded_once(server: Server) -> None:
    body = {"text": "x", "speaker_wav_b64": base64.b64encode(wav_bytes()).decode()}
    for _ in range(2):
        assert server.client.post("/synthesize_base64", json=body).status_code == 200
    first, second = (request.turns[0].voice.reference for request in server.backend.requests)
    assert first is not None and first is second


def test_unknown_fields_and_a_missing_content_type_are_accepted(server: Server) -> None:
    content = b'{"text": "x", "emotion": "happy", "nested": {"a": [NaN]}}'
    assert server.client.post("/synthesize_base64", content=content).status_code == 200


def test_empty_text_is_400(server: Server) -> None:
    answer = server.client.post("/synthesize_base64", json={"text": " \n"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"], error["type"]) == ("empty_text", "text", "invalid_request_error")
    assert server.backend.requests == []


@pytest.mark.parametrize(
    ("named", "expected"), [("reference", "speaker_wav_b64"), ("language", "lang"), ("text", "text")]
)
def test_errors_of_the_backend_name_this_routes_fields(server: Server, named: str, expected: str) -> None:
    server.backend.configure(error=ReferenceTooShort("Too short.", field=named))
    answer = server.client.post("/synthesize_base64", json={"text": "x"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, expected)


def test_stream_without_its_end_is_an_error(server: Server) -> None:
    server.backend.configure(is_cut_short=True)
    answer = server.client.post("/synthesize_base64", json={"text": "several chunks"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "engine_failed")


def test_unexpected_failure_is_500_in_the_same_shape(server: Server) -> None:
    server.backend.configure(first_chunk_delay_s="not a number")
    answer = server.client.post("/synthesize_base64", json={"text": "x"}, headers={"x-request-id": "abc"})
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "abc" in answer.json()["error"]["message"] and answer.headers["x-request-id"] == "abc"


def test_client_that_leaves_frees_its_stream(server: Server) -> None:
    server.backend.configure(first_chunk_delay_s=60.0)
    with httpx.Client(base_url=server.url, timeout=0.3) as impatient, pytest.raises(httpx.ReadTimeout):
        impatient.post("/synthesize_base64", json={"text": "x"})
    assert server.backend.requests
    assert server.wait_until_idle() < 0.2


def test_errors_hold_their_status_through_the_tree(server: Server) -> None:
    server.backend.configure(error=InvalidAudio("Not audio.", field="reference"))
    answer = server.client.post("/synthesize_base64", json={"text": "x"})
    assert answer.json() == {
        "error": {
            "code": "invalid_audio",
            "message": "Not audio.",
            "type": "invalid_request_error",
            "param": "speaker_wav_b64",
        }
    }
