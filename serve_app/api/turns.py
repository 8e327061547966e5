"""From what a client sent to turns of the seam, checked as far as this process can. Knows no route."""

import asyncio
import unicodedata
from collections.abc import Sequence

from serve_app.api.schemas import TurnFields
from serve_app.api.voice_access import VoiceAccess
from serve_app.audio.pcm import Recording
from serve_app.errors import EmptyText, RequestError, TextTooLong, UnsupportedLanguage, VoiceNotFound
from serve_app.speech.mix import parse_voice
from serve_app.speech.request import DEFAULT_VOICE, ServiceStatus, SpeechRequest, Turn, VoiceChoice, naming_turn
from serve_app.text.detection import detect_language
from serve_app.text.languages import resolve_language
from serve_app.text.pauses import read
from serve_app.text.ssml import MAX_SPEED, MIN_SPEED, SsmlPart, read_ssml, without_tags

AUTO = "auto"
PREFERRED_LANGUAGE = "en"


def make_turn(
    fields: TurnFields, text: str, language: str, *, voice: str = DEFAULT_VOICE, reference: Recording | None = None
) -> Turn:
    """A turn of plain text. Raises `RequestError` (field "text_format") where SSML was asked for."""
    if fields.text_format != "text":
        raise RequestError("SSML is not understood here; send plain text, pauses as [pause:0.5].", field="text_format")
    pronunciations = tuple(fields.pronunciations.items())
    return Turn(text, language, _voice(fields, voice, reference), fields.speed, pronunciations=pronunciations)


async def make_turns(
    fields: TurnFields,
    text: str,
    language: str,
    *,
    voice: str = DEFAULT_VOICE,
    reference: Recording | None = None,
    pause_s: float = 0.0,
) -> tuple[Turn, ...]:
    """One turn, or one for each part of SSML. `language` is a model's code, as `choose_language` gives it.

    Raises `RequestError` (field "text") for SSML that is not understood.
    """
    parts: tuple[SsmlPart, ...] = (SsmlPart(text, 0.0, 1.0),)
    if fields.text_format == "ssml":
        parts = await asyncio.to_thread(read_ssml, text, language)
    choice = _voice(fields, voice, reference)
    pronunciations = tuple(fields.pronunciations.items())
    pauses_s = [pause_s + parts[0].pause_s, *(part.pause_s for part in parts[1:])]
    return tuple(
        Turn(part.text, language, choice, _speed(fields, part), before_s, pronunciations)
        for part, before_s in zip(parts, pauses_s, strict=True)
    )


def _voice(fields: TurnFields, voice: str, reference: Recording | None) -> VoiceChoice:
    return VoiceChoice(parse_voice(voice), reference, fields.emotion, fields.emotion_intensity)


def _speed(fields: TurnFields, part: SsmlPart) -> float:
    speed = fields.speed * part.speed
    if not MIN_SPEED <= speed <= MAX_SPEED:
        raise RequestError(
            f"speed and the SSML's rate make {speed:g} together; keep it between {MIN_SPEED:g} and {MAX_SPEED:g}",
            field="text",
        )
    return speed


def default_language(facts: ServiceStatus) -> str:
    """Of a request in OpenAI's shape that names none."""
    return PREFERRED_LANGUAGE if PREFERRED_LANGUAGE in facts.languages else facts.languages[0]


async def choose_language(
    asked: str | None,
    text: str,
    default: str,
    facts: ServiceStatus,
    *,
    text_format: str = "text",
    field: str = "language",
) -> str:
    """The model's code for what was asked; the text's own language for `auto`. Raises `UnsupportedLanguage`."""
    text = without_tags(text) if text_format == "ssml" else text
    if asked is not None and asked.strip().lower() == AUTO:
        return await asyncio.to_thread(detect_language, text, facts.languages, default)
    try:
        return resolve_language(default if asked is None else asked, facts.languages)
    except UnsupportedLanguage as error:
        raise UnsupportedLanguage(error.message, field=field) from None


def check_text(text: str, max_chars: int, field: str) -> str:
    """The text, unless it is too long (422) or empty (400)."""
    if len(text) > max_chars:
        raise TextTooLong(
            f"The text has {len(text)} characters, at most {max_chars} are spoken at once; split it.", field=field
        )
    if all(char.isspace() or unicodedata.category(char)[0] == "C" for char in text):
        raise EmptyText("The text is empty; send at least one word.", field=field)
    return text


async def check_speakable(request: SpeechRequest, facts: ServiceStatus, access: VoiceAccess) -> SpeechRequest:
    """The request. Refuses here what the model would refuse: an unknown voice, and text with nothing to read aloud; and
    voices that this client may not use."""
    await check_voices(request.turns, facts, access)
    await asyncio.to_thread(_check_texts, request.turns)
    return request


async def check_voices(turns: Sequence[Turn], facts: ServiceStatus, access: VoiceAccess) -> None:
    known = set(facts.voice_names)
    for index, turn in enumerate(turns):
        for name, _ in turn.voice.parts if turn.voice.reference is None else ():
            if name in known:
                continue
            if await access.find(name) is None:
                names = ", ".join(facts.voice_names)
                message = f"There is no voice {name[:80]!r}; choose one of: {names}, or one of GET /v1/audio/voices."
                with naming_turn(turns, index):
                    raise VoiceNotFound(message, field="voice")
            known.add(name)


def _check_texts(turns: Sequence[Turn]) -> None:
    """As far as the first that can be read; the rest is the engine's to read."""
    for index, turn in enumerate(turns):
        with naming_turn(turns, index):
            next(read(turn.text, turn.language, turn.pronunciations))
