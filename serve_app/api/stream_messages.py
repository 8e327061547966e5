"""What goes over the WebSocket of `/v1/audio/stream`: a client's messages, checked, and our events. Sends nothing."""

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from serve_app.api.errors import error_object, invalid_fields
from serve_app.api.events import usage
from serve_app.api.schemas import AudioFormat, Language, ModelField, Name, SamplingFields, TurnFields
from serve_app.errors import RequestError, ServiceError
from serve_app.speech.request import DEFAULT_VOICE, SentenceTiming, SpeechSummary

ROUTE = "/v1/audio/stream"

UtteranceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
Event = dict[str, Any]


class BrokenJson(RequestError):
    """What came is no message at all, so nothing that follows can be trusted."""

    code = "invalid_json"


class UnfitMessage(RequestError):
    """A message with a wrong field, or of a type there is not. `kind` is its type where that is one of ours."""

    status, code = 422, "invalid_field"

    def __init__(self, message: str, *, field: str | None = None, kind: str | None = None) -> None:
        super().__init__(message, field=field)
        self.kind = kind


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class StartMessage(ModelField, TurnFields, SamplingFields):
    """How the text that follows is spoken: the fields of POST /v1/audio/speech."""

    type: Literal["start"]
    utterance: UtteranceName | None = None
    voice: Name = DEFAULT_VOICE
    language: Language | None = None
    response_format: AudioFormat = "pcm"
    audio: Literal["binary", "base64"] = "binary"
    reference_audio_b64: str | None = None


class TextMessage(_Message):
    """More of the text."""

    type: Literal["text"]
    text: str


class FlushMessage(_Message):
    """Speak what is there, as if the text ended here."""

    type: Literal["flush"]


class EndMessage(_Message):
    """The text is complete."""

    type: Literal["end"]


class CancelMessage(_Message):
    """Be silent. Without a name: whatever is spoken or waits."""

    type: Literal["cancel"]
    utterance: UtteranceName | None = None


class PingMessage(_Message):
    """Answered with `pong`; a connection with nothing to say stays open."""

    type: Literal["ping"]


ClientMessage = StartMessage | TextMessage | FlushMessage | EndMessage | CancelMessage | PingMessage


@cache
def _messages() -> TypeAdapter[ClientMessage]:
    return TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])


def read_message(data: str) -> ClientMessage:
    """Raises `BrokenJson` or `UnfitMessage`."""
    try:
        return _messages().validate_json(data, strict=True)
    except ValidationError as error:
        details = error.errors(include_input=False, include_context=False)
    if details[0]["type"] == "json_invalid":
        raise BrokenJson("The message is not valid JSON; send JSON objects in UTF-8, and whole characters in each.")
    if details[0]["type"].startswith("union_tag"):
        raise UnfitMessage("type: choose one of start, text, flush, end, cancel, ping.", field="type")
    kind = str(details[0]["loc"][0]) if details[0]["loc"] else None
    for detail in details:
        detail["loc"] = detail["loc"][1:]  # the first is the kind
    found = invalid_fields(details)
    raise UnfitMessage(found.message, field=found.field, kind=kind)


def started_event(utterance: str, start: StartMessage, mime_type: str, sample_rate_hz: int, seed: int) -> Event:
    return {
        "type": "started",
        "utterance": utterance,
        "format": start.response_format,
        "content_type": mime_type,
        "sample_rate": sample_rate_hz,
        "seed": seed,
    }


def audio_event(utterance: str, sentence_index: int, num_bytes: int) -> Event:
    return {"type": "audio", "utterance": utterance, "sentence_index": sentence_index, "num_bytes": num_bytes}


def sentence_event(utterance: str, index: int, timing: SentenceTiming) -> Event:
    return {"type": "sentence", "utterance": utterance, **_timed(index, timing)}


def done_event(utterance: str, summary: SpeechSummary) -> Event:
    return {
        "type": "done",
        "utterance": utterance,
        "duration_s": summary.duration_s,
        "sentences": [_timed(index, each) for index, each in enumerate(summary.sentences)],
        "seed": summary.seed,
        "usage": usage(summary),
        "warnings": list(summary.warnings),
    }


def cancelled_event(utterance: str) -> Event:
    return {"type": "cancelled", "utterance": utterance}


def error_event(error: ServiceError, utterance: str | None) -> Event:
    """OpenAI's error object. The utterance that it names is over; without a name all others go on."""
    event = {"type": "error", "utterance": utterance, "error": error_object(error)}
    return event if error.retry_after_s is None else {**event, "retry_after_s": error.retry_after_s}


def _timed(index: int, timing: SentenceTiming) -> Event:
    return {"index": index, "text": timing.text, "start_s": timing.start_s, "end_s": timing.end_s}
