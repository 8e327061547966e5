"""/v1/audio/voices: the voices that `voice` may name. A model brings some, users make others."""

import asyncio
import logging

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve_app.api.body import read_json
from serve_app.api.deps import FactsDep, SpeakerDep, StateDep, choose_model
from serve_app.api.errors import InvalidField
from serve_app.api.recordings import MAX_RECORDINGS, read_recordings, texts_of
from serve_app.api.schemas import (
    AudioFormat,
    Language,
    Name,
    VoiceBody,
    VoicePatchBody,
    VoiceResponse,
    VoicesResponse,
    body_docs,
)
from serve_app.api.speech_response import speech_response
from serve_app.api.streaming import StreamedResponse, opened
from serve_app.api.turns import check_speakable, choose_language, default_language
from serve_app.api.voice_access import VoiceAccess, VoiceAccessDep
from serve_app.errors import ConsentMissing, StorageFailed, VoiceExists, VoiceNotFound
from serve_app.speech.request import ServiceStatus, SpeechRequest, Turn, VoiceChoice
from serve_app.text.preview import preview_text
from serve_app.voices.catalogue import VoiceEntry
from serve_app.voices.entry import Entry, checked_id, id_of, new_entry
from serve_app.voices.info import VoiceInfo

router = APIRouter(tags=["voices"])

logger = logging.getLogger(__name__)

PREVIEW_SEED = 1
AUDIO_DOCS = {
    "type": "array",
    "items": {"type": "string", "format": "binary"},
    "description": f"1 to {MAX_RECORDINGS} recordings of the voice",
}


@router.get("/v1/audio/voices")
async def voices(facts: FactsDep, state: StateDep, access: VoiceAccessDep, model: str | None = None) -> VoicesResponse:
    """The voices that `voice` may name, of one model; any other is cloned from a reference recording."""
    _, facts = await choose_model(model, state)
    listed = [_of_model(each) for each in facts.voices]
    try:
        made = await asyncio.to_thread(access.catalogue.voices)
    except StorageFailed as error:
        return VoicesResponse(voices=listed, warnings=[f"The voices that users made are not listed: {error.message}"])
    listed += [_of_user(each, access) for each in made if access.may_use(each.entry)]
    return VoicesResponse(voices=listed, warnings=[])


@router.post("/v1/audio/voices", status_code=201, openapi_extra=body_docs(VoiceBody, audio=AUDIO_DOCS))
async def make_voice(request: Request, state: StateDep, facts: FactsDep, access: VoiceAccessDep) -> VoiceResponse:
    """A voice of 1 to 5 recordings: their speech is trimmed and joined to at most 30 s, which is all that is kept."""
    body, files = await read_recordings(request, VoiceBody, state.max_body_bytes)
    check_consent(body.consent)
    access.catalogue.check_may_keep()
    voice_id = id_of(body.name) if body.id is None else checked_id(body.id, "id")
    if voice_id in {name.lower() for name in facts.voice_names}:
        raise VoiceExists(f"The model has a voice {voice_id!r}; choose another name or id.", field="id")
    if await asyncio.to_thread(access.catalogue.entry, voice_id) is not None:  # before minutes go into recordings
        raise VoiceExists(f"There is a voice {voice_id!r} already; choose another name or id.", field="id")
    prepared = await state.workshop.prepare(files, texts_of(body), is_style=False)
    entry = new_entry(
        voice_id,
        body.name,
        prepared.speech_s,
        prepared.warnings,
        description=body.description,
        owner=access.owner,
        is_shared=body.shared,
        has_consent=body.consent,
    )
    await asyncio.to_thread(access.catalogue.add, entry, prepared.reference)
    logger.info("the voice %s was made%s", voice_id, f" by {access.owner}" if access.owner else "")
    return _of_user(VoiceEntry(entry, ()), access)


@router.get("/v1/audio/voices/{voice_id}")
async def voice(voice_id: str, facts: FactsDep, access: VoiceAccessDep) -> VoiceResponse:
    """One of them."""
    for each in facts.voices:
        if each.name == voice_id:
            return _of_model(each)
    entry = await access.find(voice_id)
    if entry is None:
        raise VoiceNotFound(f"There is no voice {voice_id[:80]!r}; see GET /v1/audio/voices.", field="voice")
    styles = await asyncio.to_thread(access.catalogue.styles, voice_id)
    return _of_user(VoiceEntry(entry, tuple(style.id for style in styles if not style.damage)), access)


@router.patch("/v1/audio/voices/{voice_id}", openapi_extra=body_docs(VoicePatchBody))
async def change_voice(voice_id: str, request: Request, facts: FactsDep, access: VoiceAccessDep) -> VoiceResponse:
    """Another name or description; its id stays."""
    body = await read_json(request, VoicePatchBody)
    if body.name is None and body.description is None and body.shared is None:
        raise InvalidField("Send name, description or shared.", field="name")
    _check_made_by_users(voice_id, facts)
    await access.changeable(checked_id(voice_id, "voice"))
    entry = await asyncio.to_thread(
        access.catalogue.change, voice_id, name=body.name, description=body.description, is_shared=body.shared
    )
    styles = await asyncio.to_thread(access.catalogue.styles, voice_id)
    return _of_user(VoiceEntry(entry, tuple(style.id for style in styles if not style.damage)), access)


@router.delete("/v1/audio/voices/{voice_id}", status_code=204)
async def delete_voice(voice_id: str, facts: FactsDep, access: VoiceAccessDep) -> None:
    """With its styles and all that was made of its recordings. Speech that runs ends as it would have."""
    _check_made_by_users(voice_id, facts)
    await access.changeable(checked_id(voice_id, "voice"))
    await asyncio.to_thread(access.catalogue.delete, voice_id)
    logger.info("the voice %s was deleted%s", voice_id, f" by {access.owner}" if access.owner else "")


@router.get("/v1/audio/voices/{voice_id}/preview", response_class=Response)
async def preview(
    voice_id: str,
    state: StateDep,
    facts: FactsDep,
    access: VoiceAccessDep,
    speaker: SpeakerDep,
    language: Language | None = None,
    response_format: AudioFormat = "mp3",
    emotion: Name | None = None,
    model: str | None = None,
) -> StreamedResponse:
    """A short sentence in that voice, the same each time."""
    model, facts = await choose_model(model, state)
    code = await choose_language(language, "", default_language(facts), facts)
    turn = Turn(preview_text(code), code, VoiceChoice(((voice_id, 1.0),), style=emotion))
    request = await check_speakable(SpeechRequest((turn,), seed=PREVIEW_SEED, model=model), facts, access)
    chunks = await opened(speaker.start(request, facts.sample_rate_hz))
    return speech_response(request, chunks, response_format, "audio", facts.sample_rate_hz)


def check_consent(is_given: bool) -> None:
    """Raises ConsentMissing."""
    if not is_given:
        message = (
            "Send consent=true if you have the right to use this voice: that of the person who speaks, or your own."
        )
        raise ConsentMissing(message, field="consent")


def _check_made_by_users(voice_id: str, facts: ServiceStatus) -> None:
    if voice_id in facts.voice_names:
        raise VoiceExists(f"{voice_id[:80]!r} is the model's own voice; only those of users change.", field="voice")


def _of_model(info: VoiceInfo) -> VoiceResponse:
    return VoiceResponse(
        id=info.name,
        name=info.name,
        description=info.description,
        licence=info.licence,
        kind="model",
        created_at=None,
        speech_s=None,
        styles=[],
        warnings=[],
        shared=True,
        can_change=False,
    )


def _of_user(voice: VoiceEntry, access: VoiceAccess) -> VoiceResponse:
    entry: Entry = voice.entry
    return VoiceResponse(
        id=entry.id,
        name=entry.name,
        description=entry.description,
        licence="",
        kind="custom",
        created_at=entry.created_at or None,
        speech_s=entry.speech_s,
        styles=list(voice.styles),
        warnings=[entry.damage] if entry.damage else list(entry.warnings),
        shared=entry.is_shared,
        can_change=access.may_change(entry),
    )
