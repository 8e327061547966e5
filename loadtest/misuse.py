"""Bad input of every class, and the one refusal that each must get."""

import base64
import json
from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np

from loadtest.recordings import audio_file, new_recording
from loadtest.speech import REPORT_ROUTE, SPEECH_ROUTE, multipart
from loadtest.wire import Call

HUGE_BYTES = 10**12
LOW_RATE_HZ = 8_000


@dataclass(frozen=True)
class Misuse:
    """A bad request, and the status and code of its refusal."""

    name: str
    call: Call
    status: int
    code: str


def _report(name: str, status: int, code: str, **body: object) -> Misuse:
    return Misuse(name, Call(REPORT_ROUTE, json.dumps(body).encode()), status, code)


def _speech(name: str, status: int, code: str, **body: object) -> Misuse:
    return Misuse(name, Call(SPEECH_ROUTE, json.dumps(body).encode()), status, code)


def _reference(name: str, status: int, code: str, file: bytes) -> Misuse:
    return _report(name, status, code, text="Hello.", lang="en", speaker_wav_b64=base64.b64encode(file).decode())


def _upload(name: str, status: int, code: str, field: str, file: bytes) -> Misuse:
    return Misuse(name, multipart(SPEECH_ROUTE, {"input": "Hello."}, (field, file)), status, code)


@cache
def all_misuses() -> tuple[Misuse, ...]:
    """One of each class."""
    rng = Random(1)
    spoken = new_recording(rng, 8.0)
    silence = np.zeros(8 * LOW_RATE_HZ, np.float32)
    beat = np.tile(np.array([0.1, -0.1], np.float32), 601 * LOW_RATE_HZ // 2)  # ten minutes, a few kB as FLAC
    return (
        *_texts(),
        *_fields(),
        _report("base64: none", 422, "invalid_base64", text="Hello.", lang="en", speaker_wav_b64="***"),
        _reference("audio: none", 422, "invalid_audio", b"no audio at all"),
        _reference("audio: an MP4", 422, "invalid_audio", b"\0\0\0\x18ftypmp42" + rng.randbytes(2_000)),
        _reference("audio: noise after a good header", 422, "invalid_audio", b"fLaC" + rng.randbytes(4_000)),
        _reference("audio: silence", 422, "invalid_audio", audio_file(silence, LOW_RATE_HZ)),
        _reference("audio: too short", 422, "reference_too_short", new_recording(rng, 1.5)),
        _reference("audio: too long", 422, "reference_too_long", audio_file(beat, LOW_RATE_HZ, "FLAC")),
        _upload("upload: in a wrong field", 422, "invalid_field", "voice_file", spoken),
        _upload("upload: none", 422, "invalid_audio", "reference_audio", b""),
        Misuse("body: too large", Call(SPEECH_ROUTE, announced_bytes=HUGE_BYTES), 413, "upload_too_large"),
        Misuse("route: none", Call("/v1/audio/sing", b"{}"), 404, "not_found"),
        Misuse("method: wrong", Call(REPORT_ROUTE, method="GET"), 405, "method_not_allowed"),
    )


def _texts() -> tuple[Misuse, ...]:
    return (
        _report("text: empty", 400, "empty_text", text=" \n", lang="en"),
        _speech("text: nothing to read", 400, "empty_text", input="\u200b", language="en"),
        _report("text: too long", 422, "text_too_long", text="a " * 10_001, lang="en"),
        _speech("language: unknown", 422, "unsupported_language", input="Hello.", language="tlh"),
        _speech("voice: unknown", 404, "voice_not_found", input="Hello.", voice="nobody"),
    )


def _fields() -> tuple[Misuse, ...]:
    return (
        Misuse("JSON: none", Call(REPORT_ROUTE, b'{"text": "Hel'), 400, "invalid_request"),
        Misuse("JSON: not UTF-8", Call(REPORT_ROUTE, b'{"text": "\xff\xfe"}'), 400, "invalid_request"),
        _speech("field: missing", 422, "invalid_field", voice="default"),
        _report("field: wrong type", 422, "invalid_field", text=["Hello."]),
        _report("field: out of range", 422, "invalid_field", text="Hello.", speed=9),
        _speech("format: unknown", 422, "invalid_field", input="Hello.", response_format="mp5"),
    )
