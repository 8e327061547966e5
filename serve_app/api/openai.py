"""POST /v1/audio/speech: OpenAI's shape, streamed as it is spoken, with a reference recording as our extension."""

import dataclasses

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve_app.api.body import parse_strings, read_form, read_json
from serve_app.api.deps import ApiState, FactsDep, SpeakerDep, StateDep, choose_model
from serve_app.api.errors import InvalidField, fields_named
from serve_app.api.schemas import SpeechBody, body_docs
from serve_app.api.speech_response import AUDIO_DOCS, speech_response
from serve_app.api.streaming import StreamedResponse, opened
from serve_app.api.turns import check_speakable, check_text, choose_language, default_language, make_turns
from serve_app.api.voice_access import VoiceAccess, VoiceAccessDep
from serve_app.audio.pcm import Recording
from serve_app.speech.request import ServiceStatus, SpeechRequest

router = APIRouter(tags=["speech"])

FILE_FIELD = "reference_audio"
_FILE_DOCS = {"type": "string", "format": "binary", "description": "a recording of the voice to clone"}


@dataclasses.dataclass(frozen=True)
class _Asked:
    """A body of either kind, with the field its reference came in."""

    body: SpeechBody
    file: bytes | None = None

    @property
    def reference_field(self) -> str:
        return FILE_FIELD if self.file is not None else "reference_audio_b64"


@router.post(
    "/v1/audio/speech",
    response_class=Response,
    responses=AUDIO_DOCS,
    openapi_extra=body_docs(SpeechBody, reference_audio=_FILE_DOCS),
)
async def speak(
    request: Request, state: StateDep, facts: FactsDep, speaker: SpeakerDep, access: VoiceAccessDep
) -> StreamedResponse:
    """The text as audio, sent while it is spoken. A transfer that ends without its last chunk has failed.

    With `stream_format` sse: events `speech.audio.delta`, whose `audio` joined is the file, and `speech.audio.done`; an
    event `error` takes the place of the last where the speech fails on the way.
    """
    asked = await _read(request, state)
    with fields_named({"text": "input", "reference": asked.reference_field}):
        model, facts = await choose_model(asked.body.model, state)
        speech_request = await _to_speech_request(asked, state, model, facts, access)
        chunks = await opened(speaker.start(speech_request, facts.sample_rate_hz))
    body = asked.body
    return speech_response(speech_request, chunks, body.response_format, body.stream_format, facts.sample_rate_hz)


async def _read(request: Request, state: ApiState) -> _Asked:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return _Asked(await read_json(request, SpeechBody))
    form = await read_form(request, file_field=FILE_FIELD, max_bytes=state.max_body_bytes)
    asked = _Asked(parse_strings(form.fields, SpeechBody), form.file)
    if asked.file is not None and asked.body.reference_audio_b64 is not None:
        raise InvalidField(f"Send one reference, either {FILE_FIELD} or reference_audio_b64.", field=FILE_FIELD)
    return asked


async def _to_speech_request(
    asked: _Asked, state: ApiState, model: str | None, facts: ServiceStatus, access: VoiceAccess
) -> SpeechRequest:
    body = asked.body
    text = check_text(body.input, state.settings.max_streamed_chars, "input")
    default = default_language(facts)
    language = await choose_language(body.language, text, default, facts, text_format=body.text_format)
    turns = await make_turns(body, text, language, voice=body.voice, reference=await _reference(asked, state))
    return await check_speakable(body.request_of(*turns, model=model), facts, access)


async def _reference(asked: _Asked, state: ApiState) -> Recording | None:
    if asked.file is not None:
        return await state.references.decode(asked.file, asked.reference_field)
    if asked.body.reference_audio_b64 is not None:
        return await state.references.decode_base64(asked.body.reference_audio_b64, asked.reference_field)
    return None
