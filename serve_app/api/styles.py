"""Styles: short recordings of a manner of speaking that `emotion` may name, of one voice or for all of them."""

import asyncio

from fastapi import APIRouter, Request

from serve_app.api.deps import ApiState, FactsDep, StateDep
from serve_app.api.recordings import read_recordings, texts_of
from serve_app.api.schemas import StyleBody, StyleResponse, StylesResponse, body_docs
from serve_app.api.voice_access import VoiceAccess, VoiceAccessDep
from serve_app.api.voices import AUDIO_DOCS, check_consent
from serve_app.errors import VoiceNotFound
from serve_app.voices.entry import Entry, checked_id, new_entry

router = APIRouter(tags=["voices"])


@router.get("/v1/audio/styles")
async def styles(access: VoiceAccessDep) -> StylesResponse:
    """Those for all voices; a voice's own are with the voice."""
    return StylesResponse(
        styles=[_response(each, access) for each in await asyncio.to_thread(access.catalogue.styles, None)]
    )


@router.put("/v1/audio/styles/{style}", openapi_extra=body_docs(StyleBody, audio=AUDIO_DOCS))
async def put_style(
    style: str, request: Request, state: StateDep, facts: FactsDep, access: VoiceAccessDep
) -> StyleResponse:
    """A style for all voices; takes the place of one that the same key made."""
    body, files = await read_recordings(request, StyleBody, state.max_body_bytes)
    check_consent(body.consent)
    access.catalogue.check_may_keep()
    await _check_owner(checked_id(style, "style"), access)
    return await _put(style, body, files, state, access, has_consent=body.consent)


@router.delete("/v1/audio/styles/{style}", status_code=204)
async def delete_style(style: str, access: VoiceAccessDep) -> None:
    """What runs in it ends as it would have."""
    await _check_owner(checked_id(style, "style"), access)
    await asyncio.to_thread(access.catalogue.delete_style, style, None)


@router.get("/v1/audio/voices/{voice_id}/styles")
async def styles_of_voice(voice_id: str, access: VoiceAccessDep) -> StylesResponse:
    """A voice's own."""
    if await access.find(voice_id) is None:
        raise VoiceNotFound(f"There is no voice {voice_id[:80]!r}; see GET /v1/audio/voices.", field="voice")
    found = await asyncio.to_thread(access.catalogue.styles, voice_id)
    return StylesResponse(styles=[_response(each, access) for each in found])


@router.put("/v1/audio/voices/{voice_id}/styles/{style}", openapi_extra=body_docs(StyleBody, audio=AUDIO_DOCS))
async def put_style_of_voice(
    voice_id: str, style: str, request: Request, state: StateDep, facts: FactsDep, access: VoiceAccessDep
) -> StyleResponse:
    """A style of this voice alone. The consent that the voice was made with covers it."""
    body, files = await read_recordings(request, StyleBody, state.max_body_bytes)
    checked_id(style, "style")
    voice = await access.changeable(checked_id(voice_id, "voice"))
    return await _put(style, body, files, state, access, has_consent=body.consent or voice.has_consent, voice=voice)


@router.delete("/v1/audio/voices/{voice_id}/styles/{style}", status_code=204)
async def delete_style_of_voice(voice_id: str, style: str, access: VoiceAccessDep) -> None:
    """The voice stays."""
    await access.changeable(checked_id(voice_id, "voice"))
    await asyncio.to_thread(access.catalogue.delete_style, checked_id(style, "style"), voice_id)


async def _put(
    style: str,
    body: StyleBody,
    files: list[bytes],
    state: ApiState,
    access: VoiceAccess,
    *,
    has_consent: bool,
    voice: Entry | None = None,
) -> StyleResponse:
    """A style of a voice, or of all where none is given."""
    prepared = await state.workshop.prepare(files, texts_of(body), is_style=True)
    entry = new_entry(
        style,
        style,
        prepared.speech_s,
        prepared.warnings,
        description=body.description,
        owner=access.owner,
        has_consent=has_consent,
        voice_making="" if voice is None else voice.making,
    )
    await asyncio.to_thread(access.catalogue.put_style, entry, prepared.reference, None if voice is None else voice.id)
    return _response(entry, access)


async def _check_owner(style: str, access: VoiceAccess) -> None:
    """Raises NotYours for another key's style."""
    entry = await asyncio.to_thread(access.catalogue.entry, None, style)
    if entry is not None:
        access.check_change(entry)


def _response(entry: Entry, access: VoiceAccess) -> StyleResponse:
    return StyleResponse(
        id=entry.id,
        description=entry.description,
        created_at=entry.created_at or None,
        speech_s=entry.speech_s,
        warnings=[entry.damage] if entry.damage else list(entry.warnings),
        can_change=access.may_change(entry),
    )
