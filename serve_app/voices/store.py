"""Voices by the content of their recording: encoded once, kept in memory and in a storage. Knows no model and no HTTP.

A voice's key is a hash of its decoded PCM, the model's fingerprint and the version of the trimming, so that no model
gets another's latents. The storage may be shared: files appear whole, and two processes that encode the same voice
write the same content. A file that is not the voice is logged and encoded again, and speech goes on.
"""

import asyncio
import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from serve_app import metrics
from serve_app.audio.pcm import Recording, Samples
from serve_app.compute_threads import await_apart
from serve_app.errors import RequestError
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.voices.entry import latents_prefix, to_int16
from serve_app.voices.info import PreparedVoice
from serve_app.voices.reference import PreparedReference, ReferenceTrimmer
from serve_app.voices.storage import Storage, VoiceFileError
from serve_app.voices.voice import VoiceLatents

FORMAT_VERSION = "1"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredVoice:
    """A voice ready to speak with."""

    latents: VoiceLatents
    speech_s: float  # seconds of speech it was encoded from
    warnings: tuple[str, ...]
    key: str
    was_cached: bool  # False where this call waited for the encoding


class VoiceStore:
    """Used from one event loop; the work runs in threads. `encode(samples, sample_rate_hz)` runs once at a time."""

    def __init__(
        self,
        storage: Storage,
        max_bytes: int,
        fingerprint: str,
        encode: Callable[[Samples, int], VoiceLatents],
        trimmer: ReferenceTrimmer,
        recorder: Metrics = NOT_RECORDED,
    ) -> None:
        self._storage = storage
        self._max_bytes = max_bytes
        self._fingerprint = fingerprint
        self._encode = encode
        self._trimmer, self._metrics = trimmer, recorder
        self._voices: OrderedDict[str, StoredVoice] = OrderedDict()  # least recently used first
        self._num_bytes = 0
        self._pending: dict[str, asyncio.Task[StoredVoice]] = {}
        self._encoding = asyncio.Semaphore(1)  # a burst of new voices must not take all threads and memory

    @property
    def num_bytes(self) -> int:
        """Bytes of latents kept in memory: `max_bytes` at most."""
        return self._num_bytes

    async def get(self, recording: Recording, *, field: str = "reference") -> StoredVoice:
        """The voice of a recording, from memory, from the storage, or encoded now, once for all who wait for it.

        Raises RequestError (ReferenceTooShort) naming `field`, and what `encode` raises. No failure is remembered.
        Cancelling one caller leaves the others waiting and the encoding going on.
        """
        key = await asyncio.to_thread(self.key_of, recording)
        try:
            return await self._found(key, lambda: self._trimmer.prepare(recording, field="reference"))
        except RequestError as error:
            raise type(error)(error.message, field=field) from error

    async def get_prepared(self, reference: Recording) -> StoredVoice:
        """The same for a reference that `join` made: nothing of it is trimmed any more."""
        key = await asyncio.to_thread(self._key_of_prepared, reference)
        made = PreparedReference(reference.samples, reference.sample_rate_hz, reference.duration_s, ())
        return await self._found(key, lambda: made)

    async def join(self, recordings: Sequence[Recording], *, is_style: bool, field: str) -> PreparedVoice:
        """See `ReferenceTrimmer.join`; what it gives is encoded too, so that its first use is not the slow one."""
        async with self._encoding:
            prepared = await await_apart(partial(self._trimmer.join, recordings, is_style=is_style, field=field))
        await self.get_prepared(prepared.reference)
        return prepared

    def key_of(self, recording: Recording) -> str:
        """SHA-256 in hexadecimal over the samples, their rate, the model's fingerprint and the trimming's version."""
        digest = hashlib.sha256()
        for part in (FORMAT_VERSION, self._fingerprint, self._trimmer.version, str(recording.sample_rate_hz)):
            digest.update(f"{len(part)}:{part};".encode())
        digest.update(np.ascontiguousarray(recording.samples, dtype="<f4").data)
        return digest.hexdigest()

    def _key_of_prepared(self, reference: Recording) -> str:
        """Begins with what tells its recording alone, so that all models' latents of it can be found and deleted."""
        model = hashlib.sha256(f"{FORMAT_VERSION};{self._fingerprint}".encode()).hexdigest()[:32]
        return latents_prefix(to_int16(reference.samples)) + model

    async def _found(self, key: str, prepare: Callable[[], PreparedReference]) -> StoredVoice:
        voice = self._voices.get(key)
        if voice is not None:
            self._voices.move_to_end(key)
            self._metrics.add(metrics.VOICES, found="memory")
            return voice
        return await asyncio.shield(self._pending.get(key) or self._start(key, prepare))

    def close(self) -> None:
        """Ends what the storage does in the background."""
        self._storage.close()

    def _start(self, key: str, prepare: Callable[[], PreparedReference]) -> asyncio.Task[StoredVoice]:
        task = asyncio.create_task(self._load_or_encode(key, prepare), name=f"voice {key[:12]}")
        self._pending[key] = task
        task.add_done_callback(lambda done: self._finish(key, done))
        return task

    def _finish(self, key: str, task: asyncio.Task[StoredVoice]) -> None:
        del self._pending[key]
        # Asking for the exception marks it as seen: where every waiter has left, it is nobody's.
        if not task.cancelled() and task.exception() is None:
            self._keep(replace(task.result(), was_cached=True))

    def _keep(self, voice: StoredVoice) -> None:
        if voice.latents.num_bytes > self._max_bytes:
            return
        self._voices[voice.key] = voice
        self._num_bytes += voice.latents.num_bytes
        while self._num_bytes > self._max_bytes:
            _, oldest = self._voices.popitem(last=False)
            self._num_bytes -= oldest.latents.num_bytes

    async def _load_or_encode(self, key: str, prepare: Callable[[], PreparedReference]) -> StoredVoice:
        voice = await asyncio.to_thread(self._read, key)
        if voice is not None:
            self._metrics.add(metrics.VOICES, found="disk")
            return voice
        self._metrics.add(metrics.VOICES, found="encoded")
        async with self._encoding:
            return await await_apart(partial(self._encode_and_write, key, prepare))

    def _encode_and_write(self, key: str, prepare: Callable[[], PreparedReference]) -> StoredVoice:
        reference = prepare()
        latents = self._encode(reference.samples, reference.sample_rate_hz)
        voice = StoredVoice(latents, reference.speech_s, reference.warnings, key, was_cached=False)
        self._write(voice)
        return voice

    def _read(self, key: str) -> StoredVoice | None:
        name = _file_name(key)
        try:
            data = self._storage.read(name)
            return None if data is None else _stored_voice(key, data)
        except VoiceFileError as error:
            logger.warning("the voice file %s in %s cannot be used and is made anew: %s", name, self._storage, error)
            return None

    def _write(self, voice: StoredVoice) -> None:
        metadata = {
            "key": voice.key,
            "format_version": FORMAT_VERSION,
            "fingerprint": self._fingerprint,
            "speech_s": repr(voice.speech_s),
            "warnings": json.dumps(voice.warnings),
        }
        self._storage.write(_file_name(voice.key), voice.latents.to_bytes(metadata))


def _file_name(key: str) -> str:
    return f"{key}.safetensors"


def _stored_voice(key: str, data: bytes) -> StoredVoice:
    """Raises VoiceFileError for what is not this voice's file."""
    latents, metadata = VoiceLatents.from_bytes(data)
    if metadata.get("key") != key or metadata.get("format_version") != FORMAT_VERSION:
        raise VoiceFileError("it is another voice's file or of another version")
    speech_s, warnings = _parse(metadata)
    return StoredVoice(latents, speech_s, warnings, key, was_cached=True)


def _parse(metadata: dict[str, str]) -> tuple[float, tuple[str, ...]]:
    try:
        warnings = json.loads(metadata["warnings"])
        speech_s = float(metadata["speech_s"])
    except (KeyError, ValueError) as error:
        raise VoiceFileError(f"the metadata cannot be read: {error!r}") from error
    if not isinstance(warnings, list) or not all(isinstance(warning, str) for warning in warnings):
        raise VoiceFileError("the metadata's warnings are not a list of texts")
    return speech_s, tuple(warnings)
