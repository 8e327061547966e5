"""One text into one audio file: the newcomer's first command."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from serve_app.audio.decode import decode_recording
from serve_app.audio.encoders import encode_whole, encoder_for
from serve_app.audio.pcm import Recording
from serve_app.errors import RequestError, VoiceNotFound
from serve_app.model.source import check_source
from serve_app.settings import Settings
from serve_app.speech.mix import parse_voice
from serve_app.speech.request import DEFAULT_VOICE, SpeechRequest, Turn, VoiceChoice, collect

logger = logging.getLogger(__name__)

AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus")


@dataclass(frozen=True)
class Manner:
    """How it is said."""

    speed: float = 1.0
    emotion: str | None = None
    intensity: float = 1.0


async def say_to_file(
    settings: Settings, text: str, language: str, voice: str, output: Path, *, seed: int | None, manner: Manner
) -> str:
    """Speaks `text` and writes it, 24 kHz mono, in the format that the file's name ends with. `voice` is a recording's
    path, a voice's name or a mix.

    Returns a line about what was written. Raises a `ServiceError`.
    """
    _check_directory(output)
    encoder = encoder_for(output.suffix.lower().removeprefix(".") or "wav", field="output")
    check_source(settings.model, accept_cpml=settings.accept_cpml)
    reference = await asyncio.to_thread(read_reference, settings, voice)
    parts = parse_voice(voice) if reference is None else ((DEFAULT_VOICE, 1.0),)
    choice = VoiceChoice(parts, reference, manner.emotion, manner.intensity)
    request = SpeechRequest((Turn(text, language, choice, manner.speed),), seed, is_streaming=False)
    from serve_app.speech.service import SpeechService  # seconds: what is plainly wrong has been said

    service = await asyncio.to_thread(SpeechService.load, settings, logger.info)
    try:
        samples, summary = await collect(service.stream(request))
    finally:
        service.close()
    await asyncio.to_thread(_write, output, encode_whole(samples, encoder))
    for warning in summary.warnings:
        logger.warning("note: %s", warning)
    return (
        f"{output}: {summary.duration_s:.2f} s of speech in {summary.timings_s['synthesis']:.2f} s, seed {summary.seed}"
    )


def _check_directory(output: Path) -> None:
    """Before minutes go into loading a model."""
    if not output.parent.is_dir():
        raise RequestError(f"there is no directory {str(output.parent)!r}: make it, or choose another", field="output")


def _write(output: Path, wav: bytes) -> None:
    try:
        output.write_bytes(wav)
    except OSError as error:
        message = f"cannot write {str(output)!r}: {error.strerror}; choose another place"
        raise RequestError(message, field="output") from error


def read_reference(settings: Settings, voice: str) -> Recording | None:
    """The recording that `voice` is the path of; None for a voice's name. Raises a RequestError."""
    path = reference_path(voice)
    if path is None:
        return None
    return decode_recording(path.read_bytes(), max_bytes=settings.max_upload_bytes, field="voice")


def reference_path(voice: str) -> Path | None:
    """None for a voice's name. Raises VoiceNotFound for a file that is not there."""
    path = Path(voice).expanduser()
    if path.is_file():
        return path
    if path.suffix.lower() in AUDIO_SUFFIXES:
        raise VoiceNotFound(f"there is no file {voice!r}: give a recording's path, or a voice's name", field="voice")
    return None
