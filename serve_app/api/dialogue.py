"""POST /v1/audio/dialogue: turns of several voices as one stream."""

from itertools import chain

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve_app.api.body import read_json
from serve_app.api.deps import ApiState, FactsDep, SpeakerDep, StateDep, choose_model
from serve_app.api.errors import fields_named
from serve_app.api.schemas import DialogueBody, TurnBody, body_docs
from serve_app.api.speech_response import AUDIO_DOCS, speech_response
from serve_app.api.streaming import StreamedResponse, opened
from serve_app.api.turns import check_speakable, check_text, choose_language, default_language, make_turns
from serve_app.api.voice_access import VoiceAccessDep
from serve_app.errors import TextTooLong
from serve_app.speech.request import DEFAULT_VOICE, ServiceStatus, Turn

router = APIRouter(tags=["speech"])


@router.post("/v1/audio/dialogue", response_class=Response, responses=AUDIO_DOCS, openapi_extra=body_docs(DialogueBody))
async def converse(
    request: Request, state: StateDep, facts: FactsDep, speaker: SpeakerDep, access: VoiceAccessDep
) -> StreamedResponse:
    """The turns as one audio stream, one after the other; sentences of all of them are spoken side by side."""
    body = await read_json(request, DialogueBody)
    model, facts = await choose_model(body.model, state)
    num_chars, max_chars = sum(len(turn.text) for turn in body.turns), state.settings.max_streamed_chars
    if num_chars > max_chars:
        raise TextTooLong(f"The turns have {num_chars} characters, at most {max_chars}; split them.", field="turns")
    turns = [await _turns(body, index, turn, state, facts) for index, turn in enumerate(body.turns)]
    speech_request = body.request_of(*chain.from_iterable(turns), model=model)
    speech_request = await check_speakable(speech_request, facts, access)
    chunks = await opened(speaker.start(speech_request, facts.sample_rate_hz))
    return speech_response(speech_request, chunks, body.response_format, body.stream_format, facts.sample_rate_hz)


async def _turns(
    body: DialogueBody, index: int, turn: TurnBody, state: ApiState, facts: ServiceStatus
) -> tuple[Turn, ...]:
    text = check_text(turn.text, state.settings.max_streamed_chars, f"turns.{index}.text")
    asked = body.language if turn.language is None else turn.language
    language = await choose_language(
        asked,
        text,
        default_language(facts),
        facts,
        text_format=turn.text_format,
        field=f"turns.{index}.language",
    )
    reference = None
    if turn.reference_audio_b64 is not None:
        field = f"turns.{index}.reference_audio_b64"
        reference = await state.references.decode_base64(turn.reference_audio_b64, field)
    voice = turn.voice or turn.speaker_id or DEFAULT_VOICE
    with fields_named({"text": f"turns.{index}.text"}):
        return await make_turns(turn, text, language, voice=voice, reference=reference, pause_s=turn.pause_s)
