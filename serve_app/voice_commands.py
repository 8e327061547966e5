"""The commands `voices list`, `add` and `remove`: users' voices without a server, in the place that it would use."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from serve_app.audio.decode import decode_recording
from serve_app.audio.pcm import Recording
from serve_app.errors import ConsentMissing, RequestError, VoiceExists
from serve_app.settings import Settings, make_settings
from serve_app.voices.catalogue import Catalogue
from serve_app.voices.entry import checked_id, id_of, new_entry
from serve_app.voices.info import PreparedVoice
from serve_app.voices.storage import open_storage

MAX_RECORDINGS = 5

app = typer.Typer(no_args_is_help=True, help="Voices of your own: list, add and remove them.")


@app.command("list")
def list_voices() -> None:
    """Print the voices that users made, and the styles for all voices."""
    catalogue = _open(make_settings())
    for voice in catalogue.voices():
        entry = voice.entry
        facts = entry.damage or f"{entry.name}, {entry.speech_s:.1f} s of speech, {entry.created_at[:10]}"
        typer.echo(f"{entry.id}: {facts}" + (f", styles: {', '.join(voice.styles)}" if voice.styles else ""))
    for style in catalogue.styles(None):
        typer.echo(f"style {style.id}: {style.damage or f'{style.speech_s:.1f} s of speech'}")
    catalogue.close()


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="what it is called; its id is made of it")],
    recordings: Annotated[list[Path], typer.Argument(help="1 to 5 recordings of the voice")],
    consent: Annotated[bool, typer.Option("--consent", help="I have the right to use this voice")] = False,
    voice_id: Annotated[str | None, typer.Option("--id", help="what --voice will name it by")] = None,
) -> None:
    """Make a voice of recordings."""
    if not consent:
        raise ConsentMissing("give --consent if you have the right to use this voice", field="consent")
    if len(recordings) > MAX_RECORDINGS:
        raise RequestError(f"at most {MAX_RECORDINGS} recordings make a voice: leave some out", field="recordings")
    settings = make_settings()
    chosen = id_of(name) if voice_id is None else checked_id(voice_id, "id")
    decoded = [_decoded(path, settings) for path in recordings]
    catalogue = _open(settings)
    catalogue.check_may_keep()
    if catalogue.entry(chosen) is not None:
        raise VoiceExists(f"there is a voice {chosen!r} already: remove it, or choose another --id", field="id")
    prepared = _prepared(settings, chosen, decoded)
    entry = new_entry(chosen, name, prepared.speech_s, prepared.warnings, has_consent=True)
    catalogue.add(entry, prepared.reference)
    catalogue.close()
    for warning in prepared.warnings:
        typer.echo(f"note: {warning}")
    typer.echo(f"{chosen}: {prepared.speech_s:.1f} s of speech; speak with it by --voice {chosen}")


@app.command()
def remove(voice_id: Annotated[str, typer.Argument(help="its id, as `voices list` shows it")]) -> None:
    """Delete a voice, its styles and all that was made of its recordings."""
    catalogue = _open(make_settings())
    catalogue.delete(checked_id(voice_id, "id"))
    catalogue.close()
    typer.echo(f"{voice_id} is gone")


def _open(settings: Settings) -> Catalogue:
    return Catalogue(open_storage(settings), settings.max_voices)


def _decoded(path: Path, settings: Settings) -> Recording:
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"cannot read {str(path)!r}: {error.strerror}; give a recording's path"
        raise RequestError(message, field="recordings") from error
    return decode_recording(data, max_bytes=settings.max_upload_bytes, field=str(path))


def _prepared(settings: Settings, voice_id: str, recordings: list[Recording]) -> PreparedVoice:
    from serve_app.speech.service import SpeechService  # seconds: what is plainly wrong has been said

    service = SpeechService.load(settings, lambda line: None)

    async def prepare() -> PreparedVoice:
        if voice_id in {name.lower() for name in (await service.status()).voice_names}:
            raise VoiceExists(f"the model has a voice {voice_id!r}: choose another --id", field="id")
        return await service.prepare_voice(recordings, is_style=False)

    try:
        return asyncio.run(prepare())
    finally:
        service.close()
