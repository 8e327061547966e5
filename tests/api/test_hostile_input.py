"""Input nobody should send: each is a 4xx that names its field, in the one shape, and none reaches the backend."""

import base64
import io
import json
import struct
import threading
import time
from collections.abc import Generator
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from serve_app.settings import Settings
from tests.api.conftest import Server, running
from tests.api.test_report import wav_bytes

REPORT, OPENAI = "/synthesize_base64", "/v1/audio/speech"


@pytest.fixture(scope="module")
def shared() -> Generator[Server]:
    with running(Settings(max_text_chars=200, max_streamed_chars=200, max_upload_bytes=200_000)) as server:
        yield server


def error_of(answer: Any) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/json"
    error: dict[str, Any] = answer.json()["error"]
    assert error.keys() == {"code", "message", "type", "param"} and error["message"]
    return error


def nan_wav() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(16_000, np.nan, np.float32), 16_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


VALUES: list[tuple[str, Any, int]] = [
    ("text", None, 422),
    ("text", 5, 422),
    ("text", True, 422),
    ("text", ["a"], 422),
    ("text", "", 400),
    ("text", "\u200b \t", 400),
    ("text", "x" * 201, 422),
    ("text", "\x80" * 201, 422),
    ("text", "…!!! 🙂", 400),
    ("lang", "tlh", 422),
    ("lang", "", 422),
    ("lang", 5, 422),
    ("lang", "e" * 10_000, 422),
    ("speed", 0.49, 422),
    ("speed", 2.01, 422),
    ("speed", -1, 422),
    ("speed", True, 422),
    ("speed", "1.0", 422),
    ("speed", None, 422),
    ("temperature", 0.0, 422),
    ("temperature", 2.5, 422),
    ("temperature", float("nan"), 422),
    ("top_k", 0, 422),
    ("top_k", 1_025, 422),
    ("top_k", 1.5, 422),
    ("top_p", 0.0, 422),
    ("top_p", 1.1, 422),
    ("repetition_penalty", 0.9, 422),
    ("repetition_penalty", "2.0", 422),
    ("speed", float("nan"), 422),
    ("speed", float("inf"), 422),
    ("speed", float("-inf"), 422),
    ("seed", -1, 422),
    ("seed", 1.5, 422),
    ("seed", True, 422),
    ("seed", "7", 422),
    ("seed", 2**63, 422),
    ("seed", 10**400, 422),
    ("speaker_wav_b64", "not base64!", 422),
    ("speaker_wav_b64", "", 422),
    ("speaker_wav_b64", 5, 422),
    ("speaker_wav_b64", "QUJD", 422),
    ("speaker_wav_b64", "é" * 64, 422),
    ("speaker_wav_b64", "QUJD\u3000" * 64, 422),
    ("speaker_wav_b64", b64(b"\0" * 5_000), 422),
    ("speaker_wav_b64", b64(wav_bytes()[:44]), 422),
    ("speaker_wav_b64", b64(nan_wav()), 422),
    ("speaker_wav_b64", b64(b"RIFF" + struct.pack("<I", 2**32 - 1) + b"WAVE" + b"\xff" * 3_000), 422),
    ("speaker_wav_b64", b64(wav_bytes(10.0)), 413),
]
OPENAI_NAMES = {"text": "input", "lang": "language", "speaker_wav_b64": "reference_audio_b64"}


@pytest.mark.parametrize(("field", "value", "status"), VALUES)
@pytest.mark.parametrize("route", [REPORT, OPENAI])
def test_hostile_value_is_refused_by_name(shared: Server, route: str, field: str, value: Any, status: int) -> None:
    names = {} if route == REPORT else OPENAI_NAMES
    field = names.get(field, field)
    body = {names.get("text", "text"): "hello", field: value}
    answer = shared.client.post(route, content=json.dumps(body), headers={"content-type": "application/json"})
    assert (answer.status_code, error_of(answer)["param"]) == (status, field)
    assert shared.backend.requests == []


@pytest.mark.parametrize(("voice", "status"), [("nobody", 404), ("", 404), ("x" * 10_000, 422), (5, 422), (None, 422)])
def test_unknown_voice_is_refused_by_name(shared: Server, voice: Any, status: int) -> None:
    answer = shared.client.post(OPENAI, json={"input": "hello", "voice": voice})
    error = error_of(answer)
    assert (answer.status_code, error["param"]) == (status, "voice")
    assert len(error["message"]) < 400
    assert shared.backend.requests == []


def test_other_requests_are_answered_while_spaces_are_taken_out_of_base64() -> None:
    """Millions of short runs once took the interpreter for seconds."""
    with running(Settings()) as server:
        body = json.dumps({"text": "hello", "speaker_wav_b64": "AA " * 12_000_000})
        poster = threading.Thread(
            target=lambda: answers.append(httpx.post(server.url + REPORT, content=body, timeout=60))
        )
        answers: list[httpx.Response] = []
        poster.start()
        longest_s = 0.0
        while poster.is_alive():
            started_s = time.perf_counter()
            assert server.client.get("/health/live").status_code == 200
            longest_s = max(longest_s, time.perf_counter() - started_s)
        poster.join()
    assert (answers[0].status_code, error_of(answers[0])["code"]) == (422, "invalid_audio")
    assert longest_s < 0.5


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe{}", 400),
        (b'{"text": "\xed\xa0\x80"}', 400),
        (b'{"text": "\\ud800"}', 400),
        (b"[" * 100_000, 400),
        (b'{"text": ' + b'{"a":' * 100_000, 400),
        (b"[]", 422),
        (b'"text"', 422),
        (b"null", 422),
        (b"{}", 422),
    ],
)
@pytest.mark.parametrize("route", [REPORT, OPENAI])
def test_hostile_body_is_refused(shared: Server, route: str, content: bytes, status: int) -> None:
    answer = shared.client.post(route, content=content, headers={"content-type": "application/json"})
    error_of(answer)
    assert answer.status_code == status
    assert shared.backend.requests == []


@pytest.mark.parametrize("value", ["mp5", "ogg", "WAV", "", None, 5])
def test_unknown_response_format_is_refused(shared: Server, value: Any) -> None:
    answer = shared.client.post(OPENAI, json={"input": "x", "response_format": value})
    assert (answer.status_code, error_of(answer)["param"]) == (422, "response_format")


@pytest.mark.parametrize("value", ["websocket", "SSE", "", None, True])
def test_unknown_stream_format_is_refused(shared: Server, value: Any) -> None:
    answer = shared.client.post(OPENAI, json={"input": "x", "stream_format": value})
    assert (answer.status_code, error_of(answer)["param"]) == (422, "stream_format")


def chunked(num_bytes: int) -> Generator[bytes]:
    yield b'{"text": "'
    for _ in range(num_bytes // 65_536):
        yield b"x" * 65_536


@pytest.mark.parametrize("is_announced", [True, False])
@pytest.mark.parametrize("route", [REPORT, OPENAI])
def test_body_over_the_limit_is_413(shared: Server, route: str, is_announced: bool) -> None:
    content = b"x" * 3_000_000 if is_announced else chunked(3_000_000)
    answer = shared.client.post(route, content=content)
    assert (answer.status_code, error_of(answer)["code"]) == (413, "upload_too_large")
    assert shared.client.get("/health/live").status_code == 200


@pytest.mark.parametrize(
    ("fields", "files", "field"),
    [
        ({"input": "x", "speed": "nan"}, {}, "speed"),
        ({"input": "x", "speed": "fast"}, {}, "speed"),
        ({"input": "x", "speed": "true"}, {}, "speed"),
        ({"input": "x", "seed": "1.5"}, {}, "seed"),
        ({}, {}, "input"),
        ({"input": "x"}, {"other": b"data"}, "other"),
        ({"input": "x"}, {"reference_audio": b"not audio"}, "reference_audio"),
        ({"input": "x"}, {"reference_audio": b""}, "reference_audio"),
        ({"input": "x", "reference_audio_b64": "QUJD"}, {"reference_audio": wav_bytes()}, "reference_audio"),
    ],
)
def test_hostile_form_is_refused_by_name(
    shared: Server, fields: dict[str, str], files: dict[str, bytes], field: str
) -> None:
    parts = [(name, (None, value)) for name, value in fields.items()]
    parts += [(name, (name, value)) for name, value in files.items()]  # type: ignore[misc]
    answer = shared.client.post(OPENAI, files=parts or [("unused", (None, "x"))])
    assert (answer.status_code, error_of(answer)["param"]) == (422, field)
    assert shared.backend.requests == []


def test_upload_over_the_limit_is_413(shared: Server) -> None:
    answer = shared.client.post(OPENAI, data={"input": "x"}, files={"reference_audio": wav_bytes(10.0)})
    assert (answer.status_code, error_of(answer)["param"]) == (413, "reference_audio")


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=x"]
)
def test_malformed_form_is_400_or_422(shared: Server, content_type: str) -> None:
    answer = shared.client.post(OPENAI, content=b"--y\r\nnonsense", headers={"content-type": content_type})
    assert answer.status_code in (400, 422)
    error_of(answer)


@pytest.mark.parametrize("charset", ["undefined", "unicode_escape", "utf-16", "latin-1"])
def test_form_in_another_charset_is_400(shared: Server, charset: str) -> None:
    body = b'--x\r\ncontent-disposition: form-data; name="input"\r\n\r\n\\ud800\r\n--x--\r\n'
    headers = {"content-type": f"multipart/form-data; boundary=x; charset={charset}"}
    answer = shared.client.post(OPENAI, content=body, headers=headers)
    assert answer.status_code == 400
    error_of(answer)
    assert shared.backend.requests == []


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("GET", REPORT, 405)])
def test_wrong_route_is_refused_in_the_same_shape(shared: Server, method: str, path: str, status: int) -> None:
    answer = shared.client.request(method, path)
    error_of(answer)
    assert answer.status_code == status
