"""Requests for speech by every route and form that is served, and the samples in their answers."""

import base64
import binascii
import json
import secrets
from dataclasses import dataclass
from enum import StrEnum

from loadtest.wire import Answer, Call

REPORT_ROUTE = "/synthesize_base64"
SPEECH_ROUTE = "/v1/audio/speech"
WAV_HEADER_BYTES = 44


class Form(StrEnum):
    """How speech is asked for."""

    PCM_STREAM = "stream, pcm"
    OPENAI = "OpenAI, wav"
    UPLOAD = "stream, upload"
    WHOLE = "whole, base64"


@dataclass(frozen=True)
class Speech:
    """One request whose audio follows from these fields alone."""

    form: Form
    text: str
    language: str
    seed: int
    voice: str = "default"
    reference: bytes | None = None  # an audio file
    speed: float = 1.0

    @property
    def is_whole(self) -> bool:
        return self.form is Form.WHOLE

    def call(self) -> Call:
        match self.form:
            case Form.WHOLE:
                body = {"text": self.text, "lang": self.language, "speed": self.speed, "seed": self.seed}
                return Call(REPORT_ROUTE, _json({**body, "speaker_wav_b64": self._reference_b64()}))
            case Form.OPENAI:
                asked = {**self._fields(), "model": "tts-1", "voice": self.voice, "response_format": "wav"}
                return Call(SPEECH_ROUTE, _json({**asked, "reference_audio_b64": self._reference_b64()}))
            case Form.PCM_STREAM:
                return Call(SPEECH_ROUTE, _json({**self._fields(), "reference_audio_b64": self._reference_b64()}))
            case Form.UPLOAD:
                assert self.reference is not None, "an upload uploads"
                return multipart(SPEECH_ROUTE, self._fields(), ("reference_audio", self.reference))

    def samples(self, answer: Answer) -> bytes | None:
        """The answer's 16-bit samples; None where it is not audio as asked for."""
        match self.form:
            case Form.WHOLE:
                said = answer.json()
                return _samples_of_wav(_decoded(said.get("audio_base64"))) if isinstance(said, dict) else None
            case Form.OPENAI:
                return _samples_of_wav(bytes(answer.body))
            case _:
                return bytes(answer.body)

    def _fields(self) -> dict[str, object]:
        fields = {"input": self.text, "language": self.language, "seed": self.seed, "speed": self.speed}
        return {**fields, "response_format": "pcm"}

    def _reference_b64(self) -> str | None:
        return None if self.reference is None else base64.b64encode(self.reference).decode("ascii")


def _json(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except binascii.Error:
        return b""


def _samples_of_wav(file: bytes) -> bytes | None:
    is_wav = file[:4] == b"RIFF" and file[8:12] == b"WAVE" and len(file) >= WAV_HEADER_BYTES
    return file[WAV_HEADER_BYTES:] if is_wav else None


def multipart(path: str, fields: dict[str, object], file: tuple[str, bytes]) -> Call:
    """A form with one file, (field, content)."""
    boundary = secrets.token_hex(16)
    head = "".join(
        f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head += (
        f'--{boundary}\r\ncontent-disposition: form-data; name="{file[0]}"; filename="voice"\r\n'
        "content-type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + file[1] + f"\r\n--{boundary}--\r\n".encode()
    return Call(path, body, content_type=f"multipart/form-data; boundary={boundary}")
