"""One request for speech, as the model of traffic draws it, and the call that makes it."""

import base64
import json
from dataclasses import dataclass, field
from enum import StrEnum

from loadtest.speech import REPORT_ROUTE, SPEECH_ROUTE, multipart
from loadtest.wire import Call
from loadtest.workload.texts import Text


class Format(StrEnum):
    """What the audio is sent as. FLAC is left out: nothing in a stream of it says how long it is."""

    PCM = "pcm"
    WAV = "wav"
    MP3 = "mp3"
    OPUS = "opus"
    AAC = "aac"

    @property
    def is_exact(self) -> bool:
        """Whether the same speech gives the same bytes: a codec's pages depend on when its samples came."""
        return self in (Format.PCM, Format.WAV)


class Way(StrEnum):
    """How speech is asked for."""

    STREAM = "stream"
    UPLOAD = "upload"  # a stream whose recording comes as a file of a form
    WHOLE = "whole"  # the older route: all of it in one object of JSON, always WAV


@dataclass(frozen=True)
class Voice:
    """A named voice, or a recording to clone. `is_cold`: one that the service has never heard."""

    name: str = "default"
    recording: bytes | None = field(default=None, repr=False)
    is_cold: bool = False


@dataclass(frozen=True)
class Request:
    """Its audio follows from these fields alone, where the service is deterministic. `number` counts the requests."""

    number: int
    text: Text
    voice: Voice
    way: Way
    format: Format
    speed: float
    seed: int
    is_sampled: bool = False  # its audio is to be compared with what it is alone

    @property
    def is_stream(self) -> bool:
        return self.way is not Way.WHOLE

    @property
    def form(self) -> str:
        """A label: "stream, mp3"."""
        return f"{self.way}, {self.format}"

    def call(self) -> Call:
        match self.way:
            case Way.WHOLE:
                spoken = {"text": self.text.text, "lang": self.text.language, "speaker_id": self.voice.name}
                drawn = {"speed": self.speed, "seed": self.seed}
                return Call(REPORT_ROUTE, _json({**spoken, **drawn, "speaker_wav_b64": self._recording_b64()}))
            case Way.STREAM:
                return Call(SPEECH_ROUTE, _json({**self.fields(), "reference_audio_b64": self._recording_b64()}))
            case Way.UPLOAD:
                assert self.voice.recording is not None, "an upload uploads"
                return multipart(SPEECH_ROUTE, self.fields(), ("reference_audio", self.voice.recording))

    def fields(self) -> dict[str, object]:
        """Of `POST /v1/audio/speech`, but for a recording."""
        spoken = {"input": self.text.text, "language": self.text.language, "voice": self.voice.name}
        return {**spoken, "response_format": self.format.value, "speed": self.speed, "seed": self.seed}

    def start(self) -> dict[str, object]:
        """The `start` of `WS /v1/audio/stream`; the text comes after it."""
        said = {**self.fields(), "reference_audio_b64": self._recording_b64()}
        return {name: value for name, value in said.items() if name != "input" and value is not None}

    def _recording_b64(self) -> str | None:
        recording = self.voice.recording
        return None if recording is None else base64.b64encode(recording).decode("ascii")


def _json(body: dict[str, object]) -> bytes:
    said = {name: value for name, value in body.items() if value is not None}
    return json.dumps(said, ensure_ascii=False).encode()
