"""OpenAI's route, through OpenAI's own client and through plain HTTP."""

import base64
import io
import json
import time
from typing import Any, Literal

import av
import httpx
import numpy as np
import openai
import pytest
import soundfile

from serve_app.api.openai import FILE_FIELD
from serve_app.audio.pcm import to_int16_bytes
from serve_app.errors import ReferenceTooShort, Unavailable, VoiceNotFound
from serve_app.settings import Settings
from serve_app.speech.request import Guards, SamplingOptions, one_turn
from tests.api.conftest import Server, running
from tests.api.test_report import wav_bytes
from tests.fakes import sine_for

ROUTE = "/v1/audio/speech"


def openai_client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def test_openai_client_gets_a_wav(server: Server) -> None:
    with openai_client(server) as client:
        answer = client.audio.speech.create(
            model="tts-1", voice="default", input="Hello", response_format="wav", speed=1.5
        )
    samples, sample_rate_hz = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    assert sample_rate_hz == 24_000
    np.testing.assert_allclose(samples, sine_for(one_turn("Hello", "en", speed=1.5)), atol=1e-4)


def test_openai_client_streams_pcm(server: Server) -> None:
    with (
        openai_client(server) as client,
        client.audio.speech.with_streaming_response.create(
            model="tts-1",
            voice="anna",
            input="Hello",
            response_format="pcm",
            extra_body={"language": "ko", "seed": 3},
        ) as answer,
    ):
        audio = b"".join(answer.iter_bytes())
    assert audio == to_int16_bytes(sine_for(one_turn("Hello", "ko", voice="anna", seed=3)))


@pytest.mark.parametrize(
    ("format_name", "mime_type"),
    [(None, "audio/mpeg"), ("opus", "audio/ogg"), ("aac", "audio/aac"), ("flac", "audio/flac")],
)
def test_openai_client_gets_every_format(
    server: Server, format_name: Literal["opus", "aac", "flac"] | None, mime_type: str
) -> None:
    """OpenAI's own default, MP3, is ours."""
    wanted = {} if format_name is None else {"response_format": format_name}
    with openai_client(server) as client:
        answer = client.audio.speech.create(model="tts-1", voice="default", input="Hello, you there.", **wanted)
    assert answer.response.headers["content-type"] == mime_type
    with av.open(io.BytesIO(answer.content)) as container:
        frames = list(container.decode(audio=0))
    duration_s = sum(frame.samples for frame in frames) / frames[0].sample_rate
    spoken_s = len(sine_for(one_turn("Hello, you there.", "en"))) / 24_000
    assert spoken_s <= duration_s < spoken_s + 0.13


def test_openai_client_lists_models(server: Server) -> None:
    with openai_client(server) as client:
        assert [(each.id, each.object) for each in client.models.list()] == [("fake", "model")]
        assert client.models.retrieve("fake").owned_by == "xtts-serve"
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve("gpt-4o-mini-tts")
    assert caught.value.code == "model_not_found"


def events_of(server: Server, **fields: object) -> list[dict[str, Any]]:
    with server.client.stream("POST", ROUTE, json={"stream_format": "sse", **fields}) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        events = b"".join(answer.iter_raw()).decode().split("\n\n")
    assert events.pop() == "" and all(event.startswith("data: ") for event in events)
    return [json.loads(event.removeprefix("data: ")) for event in events]


@pytest.mark.parametrize("format_name", ["wav", "pcm", "mp3"])
def test_events_hold_the_file_and_its_sentences(server: Server, format_name: str) -> None:
    body = {"input": "Hello, you.", "seed": 5, "response_format": format_name}
    whole = server.client.post(ROUTE, json=body).content
    *deltas, done = events_of(server, **body)
    assert b"".join(base64.b64decode(each["audio"]) for each in deltas) == whole
    assert {(each["type"], each["sentence_index"]) for each in deltas} == {("speech.audio.delta", 0)}
    assert len(deltas) >= 3
    num_codes = 11 * 1_200 // 1_024
    assert done == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 11, "output_tokens": num_codes, "total_tokens": 11 + num_codes},
        "duration_s": 0.55,
        "sentences": [{"index": 0, "turn_index": 0, "text": "Hello, you.", "start_s": 0.0, "end_s": 0.55}],
        "turns": [{"start_s": 0.0, "end_s": 0.55}],
        "seed": 5,
        "warnings": [],
    }


def test_event_comes_as_soon_as_its_audio(server: Server) -> None:
    server.backend.configure(chunk_delay_s=0.2)
    body = {"input": "Hello, world", "response_format": "pcm", "stream_format": "sse"}
    started_s = time.perf_counter()
    with server.client.stream("POST", ROUTE, json=body) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith('data: {"type":"speech.audio.delta"')
        assert time.perf_counter() - started_s < 0.2
        assert sum(line.startswith("data: ") for line in lines) == 6


def test_failure_in_mid_stream_is_the_last_event(server: Server) -> None:
    server.backend.configure(fails_after_chunks=2)
    received: list[bytes] = []
    with (
        server.client.stream("POST", ROUTE, json={"input": "Hello, world", "stream_format": "sse"}) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        received.extend(answer.iter_raw())
    last = json.loads(b"".join(received).decode().split("\n\n")[-2].removeprefix("data: "))
    assert last["type"] == "error"
    assert (last["error"]["code"], last["error"]["type"]) == ("synthesis_failed", "server_error")


def test_refusal_before_the_first_event_has_its_status(server: Server) -> None:
    server.backend.configure(max_streams=0)
    assert server.client.post(ROUTE, json={"input": "x", "stream_format": "sse"}).status_code == 429


def test_openai_client_reads_our_errors(server: Server) -> None:
    server.backend.configure(error=VoiceNotFound("There is no voice gone.", field="voice"))
    with openai_client(server) as client, pytest.raises(openai.NotFoundError) as caught:
        client.audio.speech.create(model="tts-1", voice="gone", input="Hello")
    assert (caught.value.code, caught.value.param) == ("voice_not_found", "voice")
    assert "gone" in caught.value.message


def test_audio_is_sent_while_it_is_spoken(server: Server) -> None:
    server.backend.configure(chunk_delay_s=0.2)
    body = {"input": "Hello, world", "response_format": "wav"}
    started_s = time.perf_counter()
    with server.client.stream("POST", ROUTE, json=body) as answer:
        blocks = answer.iter_raw()
        first = next(blocks)
        first_s = time.perf_counter() - started_s
        total = len(first) + sum(len(block) for block in blocks)
    assert first.startswith(b"RIFF") and answer.headers["content-type"] == "audio/wav"
    assert answer.headers["x-sample-rate"] == "24000"
    assert first_s < 0.2 < 1.0 < time.perf_counter() - started_s
    assert total == 44 + 2 * 12 * 1_200


@pytest.mark.parametrize(("route", "is_form"), [(ROUTE, False), (ROUTE, True), ("/synthesize_base64", False)])
def test_sampling_reaches_the_backend(server: Server, route: str, is_form: bool) -> None:
    fields = {"input": "x", "text": "x", "temperature": 0.4, "top_k": 3, "top_p": 0.5, "repetition_penalty": 2.0}
    form = {name: str(value) for name, value in fields.items()}
    body: dict[str, Any] = {"data": form, "files": {FILE_FIELD: wav_bytes()}} if is_form else {"json": fields}
    answer = server.client.post(route, **body)
    assert answer.status_code == 200, answer.text
    assert server.backend.requests[0].sampling == SamplingOptions(0.4, 3, 0.5, 2.0)
    assert server.client.post(ROUTE, json={"input": "x", "top_k": None}).status_code == 200
    assert server.backend.requests[1].sampling == SamplingOptions()


def test_guards_are_on_but_those_switched_off(server: Server) -> None:
    for guards in ({}, {"guards": {"retry": False, "silence": False}}):
        assert server.client.post(ROUTE, json={"input": "x", **guards}).status_code == 200
    assert server.backend.requests[0].guards == Guards()
    assert server.backend.requests[1].guards == Guards(retry=False, silence=False)
    assert server.client.post(ROUTE, json={"input": "x", "guards": {"loops": 1}}).status_code == 422


@pytest.mark.parametrize(("languages", "expected"), [(("ko", "en"), "en"), (("de", "ko"), "de")])
def test_language_left_out_is_english_or_the_models_first(
    server: Server, languages: tuple[str, ...], expected: str
) -> None:
    server.backend.configure(languages=languages)
    assert server.client.post(ROUTE, json={"input": "x"}).status_code == 200
    assert server.backend.requests[0].turns[0].language == expected


def test_pause_that_is_too_long_is_refused_by_this_routes_field(server: Server) -> None:
    answer = server.client.post(ROUTE, json={"input": "Hello.[pause:11]"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")
    assert "10 s at most" in answer.json()["error"]["message"]
    assert server.backend.requests == []


def test_overflow_is_a_real_429(server: Server) -> None:
    server.backend.configure(max_streams=0)
    answer = server.client.post(ROUTE, json={"input": "x"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert answer.json()["error"]["type"] == "rate_limit_error"


def test_lost_engine_is_503_with_retry_after(server: Server) -> None:
    server.backend.configure(error=Unavailable("The engine is gone."))
    answer = server.client.post(ROUTE, json={"input": "x"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("change", [{"fails_after_chunks": 2}, {"is_cut_short": True}])
def test_failure_in_mid_stream_cuts_the_transfer(server: Server, change: dict[str, object]) -> None:
    server.backend.configure(chunk_delay_s=0.02, **change)
    with (
        server.client.stream("POST", ROUTE, json={"input": "Hello, world"}) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        answer.read()
    assert answer.status_code == 200
    server.wait_until_idle()


def test_client_that_leaves_in_mid_stream_frees_it(server: Server) -> None:
    server.backend.configure(chunk_delay_s=0.05)
    with (
        httpx.Client(base_url=server.url) as client,
        client.stream("POST", ROUTE, json={"input": "a very long text, " * 10}) as answer,
    ):
        blocks = answer.iter_raw()
        next(blocks)
        assert server.backend.num_open_streams == 1
    assert server.wait_until_idle() < 0.2
    assert server.backend.num_chunks < 20


def test_client_that_leaves_before_the_first_chunk_frees_it(server: Server) -> None:
    server.backend.configure(first_chunk_delay_s=60.0)
    with httpx.Client(base_url=server.url, timeout=0.3) as client, pytest.raises(httpx.ReadTimeout):
        client.post(ROUTE, json={"input": "x"})
    assert server.backend.requests
    assert server.wait_until_idle() < 0.2


@pytest.mark.parametrize("file_format", ["WAV", "FLAC", "MP3", "OGG"])
def test_upload_of_a_reference_with_form_fields(server: Server, file_format: str) -> None:
    fields = {"input": "Hello", "speed": "0.5", "seed": "11", "language": "de", "response_format": "pcm"}
    answer = server.client.post(ROUTE, data=fields, files={FILE_FIELD: ("voice", wav_bytes(file_format=file_format))})
    assert answer.status_code == 200 and len(answer.content) == 2 * 5 * 1_200 * 2
    request = server.backend.requests[0]
    (turn,) = request.turns
    assert turn.voice.reference is not None and abs(turn.voice.reference.duration_s - 0.5) < 0.1
    assert (turn.speed, request.seed, turn.language) == (0.5, 11, "de")


def test_reference_in_base64(server: Server) -> None:
    body = {"input": "Hello", "reference_audio_b64": base64.b64encode(wav_bytes()).decode()}
    assert server.client.post(ROUTE, json=body).status_code == 200
    assert server.backend.requests[0].turns[0].voice.reference is not None


@pytest.mark.parametrize(("is_upload", "expected"), [(True, "reference_audio"), (False, "reference_audio_b64")])
def test_errors_of_the_backend_name_the_field_the_reference_came_in(
    server: Server, is_upload: bool, expected: str
) -> None:
    server.backend.configure(error=ReferenceTooShort("Too short.", field="reference"))
    if is_upload:
        answer = server.client.post(ROUTE, data={"input": "x"}, files={FILE_FIELD: wav_bytes()})
    else:
        encoded = base64.b64encode(wav_bytes()).decode()
        answer = server.client.post(ROUTE, json={"input": "x", "reference_audio_b64": encoded})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, expected)


@pytest.mark.parametrize(("route", "field"), [("/v1/audio/speech", "input"), ("/synthesize_base64", "text")])
def test_request_that_waits_too_long_is_refused_and_left(route: str, field: str) -> None:
    with running(Settings(first_audio_timeout_s=0.2)) as server:
        server.backend.configure(first_chunk_delay_s=5.0)
        started_s = time.perf_counter()
        answer = server.client.post(route, json={field: "x"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert time.perf_counter() - started_s < 1.0
        assert server.wait_until_idle() < 0.5


def test_only_the_first_audio_has_a_time_limit() -> None:
    with running(Settings(first_audio_timeout_s=0.2)) as server:
        server.backend.configure(chunk_delay_s=0.3)
        assert server.client.post("/v1/audio/speech", json={"input": "Hello."}).status_code == 200
