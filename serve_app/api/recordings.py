"""The recordings that voices and styles are made of: read, decoded a few at once, and prepared by an engine."""

import asyncio
from collections.abc import Sequence

from fastapi import Request
from pydantic import BaseModel

from serve_app.api.body import Body, parse_strings, read_form, read_json
from serve_app.api.errors import InvalidField
from serve_app.api.references import ReferenceDecoder
from serve_app.audio.decode import MAX_DURATION_S
from serve_app.audio.pcm import Recording
from serve_app.errors import Overloaded, ReferenceTooLong
from serve_app.speech.request import SpeechBackend
from serve_app.voices.info import PreparedVoice

FILE_FIELD, BASE64_FIELD = "audio", "audio_b64"
MAX_RECORDINGS = 5
MAX_AT_ONCE = 2  # voices that are made by one process: the recordings of one take up to a hundred megabytes
MAX_WAITING = 16
BUSY_RETRY_AFTER_S = 5.0


async def read_recordings(request: Request, schema: type[Body], max_bytes: int) -> tuple[Body, list[bytes]]:
    """A body and the files of its form; what came as JSON has them in the body, in base64."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await read_json(request, schema), []
    form = await read_form(request, file_field=FILE_FIELD, max_bytes=max_bytes, max_files=MAX_RECORDINGS)
    return parse_strings(form.fields, schema), list(form.files)


class VoiceWorkshop:
    """Makes references of recordings, a few at once: others wait, and where too many do, they are refused."""

    def __init__(self, backend: SpeechBackend, references: ReferenceDecoder, timeout_s: float) -> None:
        self._backend, self._references, self._timeout_s = backend, references, timeout_s
        self._free = asyncio.Semaphore(MAX_AT_ONCE)
        self._num_waiting = 0

    async def prepare(self, files: Sequence[bytes], texts: Sequence[str], *, is_style: bool) -> PreparedVoice:
        """Of uploaded files, or of files in base64. Raises a `ServiceError`."""
        if bool(files) == bool(texts):
            message = f"Send 1 to {MAX_RECORDINGS} recordings, as files in {FILE_FIELD} or in base64 in {BASE64_FIELD}."
            raise InvalidField(message, field=FILE_FIELD)
        if self._num_waiting >= MAX_WAITING:
            raise Overloaded("Too many voices are made at once; try again.", retry_after_s=BUSY_RETRY_AFTER_S)
        self._num_waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._num_waiting -= 1
        try:
            recordings = await self._decoded(files, texts)
            async with asyncio.timeout(self._timeout_s):
                return await self._backend.prepare_voice(recordings, is_style=is_style)
        except TimeoutError:
            message = "The engines are too busy to listen to the recordings; try again."
            raise Overloaded(message, retry_after_s=BUSY_RETRY_AFTER_S) from None
        finally:
            self._free.release()

    async def _decoded(self, files: Sequence[bytes], texts: Sequence[str]) -> list[Recording]:
        recordings: list[Recording] = []
        for index, file in enumerate(files):
            recordings.append(await self._references.decode(file, f"{FILE_FIELD}.{index}"))
            _check_length(recordings)
        for index, text in enumerate(texts):
            recordings.append(await self._references.decode_base64(text, f"{BASE64_FIELD}.{index}"))
            _check_length(recordings)
        return recordings


def _check_length(recordings: Sequence[Recording]) -> None:
    """As the next one is decoded only then, so many never fill the memory."""
    if sum(recording.duration_s for recording in recordings) > MAX_DURATION_S:
        message = f"The recordings are longer than {MAX_DURATION_S} s together; 30 s are used at most, send less."
        raise ReferenceTooLong(message, field=FILE_FIELD)


def texts_of(body: BaseModel) -> list[str]:
    """A body's recordings in base64: one, or a list."""
    sent = getattr(body, BASE64_FIELD)
    return [sent] if isinstance(sent, str) else list(sent or ())
