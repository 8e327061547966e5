"""The voices and styles that users made: looked up, made, changed and deleted. Knows no model, no key and no HTTP.

Every process has one, over a storage that all share. It keeps what was asked for in a bounded memory, and asks the
storage after two seconds whether that still holds: so long does a change take to be everywhere. While the storage is
away, what is in memory goes on.
"""

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from serve_app.audio.pcm import Recording
from serve_app.errors import StorageFailed, StyleNotFound, TooManyVoices, VoiceExists, VoiceNotFound
from serve_app.voices.entry import (
    HEAD_BYTES,
    LATENTS,
    STYLES,
    VOICES,
    Entry,
    entry_of,
    from_int16,
    ids_in,
    is_id,
    latents_prefix,
    samples_of,
    style_file,
    to_file,
    to_int16,
    voice_file,
)
from serve_app.voices.storage import Storage, StoredFile, VoiceFileError

FRESH_S = 2.0
CACHE_BYTES = 64 * 1024 * 1024  # a recording takes 1.3 MB
MAX_ABSENT = 1_000  # files that are known not to be there
READERS = 16  # of files, at once
MAX_STYLES = 100  # of a voice, and of those for all voices
_ENTRY_BYTES = 4_096  # about, with its texts

logger = logging.getLogger(__name__)


@dataclass
class _Cached:
    entry: Entry
    version: str
    looked_s: float
    samples: npt.NDArray[np.int16] | None = None  # None: only the head of the file was read

    @property
    def num_bytes(self) -> int:
        return _ENTRY_BYTES + (0 if self.samples is None else self.samples.nbytes)


@dataclass(frozen=True)
class VoiceEntry:
    """A voice, and the names of its own styles."""

    entry: Entry
    styles: tuple[str, ...]


class Catalogue:
    """Thread-safe; its methods block for as long as the storage does. `clock` is in seconds.

    All of them raise StorageFailed where the storage does not answer and memory does not help, and those that write
    StorageFull too.
    """

    def __init__(
        self,
        storage: Storage,
        max_voices: int,
        *,
        cache_bytes: int = CACHE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage, self._max_voices = storage, max_voices
        self._cache_bytes, self._clock = cache_bytes, clock
        self._cached: OrderedDict[str, _Cached] = OrderedDict()  # by file, least recently used first
        self._absent: OrderedDict[str, float] = (
            OrderedDict()
        )  # by file: when it was looked for; emotions without a style
        self._num_bytes = 0
        self._lock = threading.Lock()

    # -- looking -------------------------------------------------------------------------------------------------------

    def voice(self, voice_id: str) -> Entry | None:
        """None where there is none, or where its file is damaged, which the log says."""
        if not is_id(voice_id):
            return None
        found = self._look(voice_file(voice_id), needs_samples=False)
        return None if found is None or found.entry.damage else found.entry

    def recording(self, voice_id: str) -> Recording:
        """What the voice is encoded from. Raises VoiceNotFound."""
        found = self._look(voice_file(voice_id), needs_samples=True) if is_id(voice_id) else None
        if found is None or found.samples is None:
            raise VoiceNotFound(
                f"There is no voice {voice_id[:80]!r} any more; see GET /v1/audio/voices.", field="voice"
            )
        return from_int16(found.samples)

    def style(self, style_id: str, voice_id: str | None) -> Recording | None:
        """The recording of a voice's own style, or of one for all voices."""
        if not is_id(style_id) or (voice_id is not None and not is_id(voice_id)):
            return None
        found = self._look(style_file(style_id, voice_id), needs_samples=True)
        if found is None or found.samples is None:
            return None
        if voice_id is not None:
            voice = self.voice(voice_id)
            if voice is None or voice.making != found.entry.voice_making:
                return None
        return from_int16(found.samples)

    def voices(self) -> list[VoiceEntry]:
        """All, by their ids. One whose file is damaged says so in `damage`."""
        entries = self._listed(self._storage.versions(VOICES))
        return [
            VoiceEntry(entries[file], _styles_of(entries[file], entries)) for file in entries if len(ids_in(file)) == 1
        ]

    def styles(self, voice_id: str | None) -> list[Entry]:
        """A voice's own styles, or those for all voices, by their ids."""
        if voice_id is None:
            return list(self._listed(self._storage.versions(STYLES)).values())
        voice = self.voice(voice_id)
        if voice is None:
            return []
        files = {
            file: version
            for file, version in self._storage.versions(VOICES).items()
            if ids_in(file)[:1] == (voice_id,) and len(ids_in(file)) == 2
        }
        entries = self._listed(files).values()
        return [entry for entry in entries if entry.voice_making == voice.making or entry.damage]

    # -- changing ------------------------------------------------------------------------------------------------------

    def check_may_keep(self) -> None:
        """Raises TooManyVoices where users may make none at all."""
        if self._max_voices == 0:
            raise TooManyVoices("This service keeps no voices of its users; its operator can change that.")

    def add(self, entry: Entry, reference: Recording) -> None:
        """A new voice. Raises VoiceExists, and TooManyVoices."""
        self.check_may_keep()
        num_voices = sum(len(ids_in(file)) == 1 for file in self._storage.versions(VOICES))
        if num_voices >= self._max_voices:
            raise TooManyVoices(f"There are {num_voices} voices, which is all there may be; delete one.")
        file = voice_file(entry.id)
        samples = to_int16(reference.samples)
        if not self._storage.put(file, to_file(entry, samples), is_new=True):
            raise VoiceExists(
                f"There is a voice {entry.id!r} already; choose another name or id, or delete that one.", field="id"
            )
        self._forget(file)

    def change(self, voice_id: str, *, name: str | None, description: str | None, is_shared: bool | None) -> Entry:
        """Of two who change a voice at once, the last one wins. Raises VoiceNotFound."""
        file = voice_file(voice_id)
        self._forget(file)
        found = self._look(file, needs_samples=True)
        if found is None or found.samples is None:
            raise VoiceNotFound(f"There is no voice {voice_id!r}; see GET /v1/audio/voices.", field="voice")
        changed = replace(
            found.entry,
            name=found.entry.name if name is None else name,
            description=found.entry.description if description is None else description,
            is_shared=found.entry.is_shared if is_shared is None else is_shared,
        )
        self._storage.put(file, to_file(changed, found.samples), is_new=False)
        self._forget(file)
        return changed

    def delete(self, voice_id: str) -> None:
        """With its styles, and those first: what fails on the way can be done again. Raises VoiceNotFound."""
        file = voice_file(voice_id)
        files = self._storage.versions(VOICES)
        if file not in files:
            raise VoiceNotFound(f"There is no voice {voice_id!r}; see GET /v1/audio/voices.", field="voice")
        for each in files:
            if ids_in(each)[:1] == (voice_id,) and each != file:
                self._delete(each)
        self._delete(file)

    def put_style(self, entry: Entry, reference: Recording, voice_id: str | None) -> None:
        """Takes the place of one of the same id. Raises TooManyVoices."""
        self.check_may_keep()
        others = [each for each in self.styles(voice_id) if each.id != entry.id]
        if len(others) >= MAX_STYLES:
            raise TooManyVoices(f"There are {len(others)} styles, which is all there may be; delete one.")
        file = style_file(entry.id, voice_id)
        samples = to_int16(reference.samples)
        self._delete_latents(file, but=latents_prefix(samples))
        self._storage.put(file, to_file(entry, samples), is_new=False)
        self._forget(file)

    def delete_style(self, style_id: str, voice_id: str | None) -> None:
        """Raises StyleNotFound."""
        file = style_file(style_id, voice_id)
        if self._storage.version(file) is None:
            raise StyleNotFound(f"There is no style {style_id!r} here.", field="style")
        self._delete(file)

    def entry(self, voice_id: str | None, style_id: str | None = None) -> Entry | None:
        """A voice's, its style's, or, without a voice, that of a style for all: as it is now, damaged ones too."""
        if voice_id is None:
            assert style_id is not None
            file = style_file(style_id, None)
        else:
            file = voice_file(voice_id) if style_id is None else style_file(style_id, voice_id)
        self._forget(file)
        found = self._look(file, needs_samples=False)
        return None if found is None else found.entry

    def close(self) -> None:
        self._storage.close()

    def _delete(self, file: str) -> None:
        """With what models made of its recording."""
        self._delete_latents(file)
        self._storage.delete(file)
        self._forget(file)

    def _delete_latents(self, file: str, but: str = "") -> None:
        found = self._look(file, needs_samples=True)
        if found is not None and found.samples is not None and (prefix := latents_prefix(found.samples)) != but:
            for each in self._storage.versions(LATENTS):
                if each.startswith(prefix):
                    self._storage.delete(each)

    # -- memory --------------------------------------------------------------------------------------------------------

    def _look(self, file: str, *, needs_samples: bool) -> _Cached | None:
        """What the file holds, at most `FRESH_S` old, unless the storage is away."""
        now_s = self._clock()
        with self._lock:
            cached = self._cached.get(file)
            if cached is not None:
                self._cached.move_to_end(file)
            is_absent = now_s - self._absent.get(file, -math.inf) < FRESH_S
        if cached is not None and needs_samples and cached.samples is None and not cached.entry.damage:
            cached = None
        if cached is not None and now_s - cached.looked_s < FRESH_S:
            return cached
        if is_absent:
            return None
        try:
            version = self._storage.version(file) if cached is not None else ""
            if cached is not None and version == cached.version:
                cached.looked_s = now_s
                return cached
            found = self._storage.fetch(file, None if needs_samples else HEAD_BYTES)
        except StorageFailed:
            if cached is None:
                raise
            return cached
        except VoiceFileError as error:
            return self._keep(file, _damaged(file, error), self._storage.version(file) or "", now_s, None)
        if found is None:
            self._keep_absent(file, now_s)
            return None
        return self._read(file, found, now_s, needs_samples=needs_samples)

    def _read(self, file: str, found: StoredFile, now_s: float, *, needs_samples: bool) -> _Cached:
        try:
            entry = entry_of(found.data[:HEAD_BYTES], found.num_bytes, ids_in(file)[-1])
            samples = samples_of(found.data) if needs_samples else None
        except VoiceFileError as error:
            return self._keep(file, _damaged(file, error), found.version, now_s, None)
        return self._keep(file, entry, found.version, now_s, samples)

    def _listed(self, files: dict[str, str]) -> dict[str, Entry]:
        """The entries of files with these versions, by file in order; what is none of ours is left out."""
        ours = sorted(file for file in files if ids_in(file))
        now_s = self._clock()
        with self._lock:
            known = {file: cached for file in ours if (cached := self._cached.get(file))}
        entries = {file: cached.entry for file, cached in known.items() if cached.version == files[file]}
        for file in entries:
            known[file].looked_s = now_s
        news = [file for file in ours if file not in entries]
        if news:
            with ThreadPoolExecutor(min(len(news), READERS)) as readers:
                read = readers.map(self._listed_anew, news)
                entries |= {file: entry for file, entry in zip(news, read, strict=True) if entry is not None}
        return {file: entries[file] for file in ours if file in entries}

    def _listed_anew(self, file: str) -> Entry | None:
        self._forget(file)
        try:
            found = self._look(file, needs_samples=False)
        except StorageFailed:
            return _unusable(file, "its file cannot be read now; try again later")
        return None if found is None else found.entry

    def _keep(
        self, file: str, entry: Entry, version: str, now_s: float, samples: npt.NDArray[np.int16] | None
    ) -> _Cached:
        cached = _Cached(entry, version, now_s, samples)
        with self._lock:
            self._drop(file)
            self._cached[file] = cached
            self._num_bytes += cached.num_bytes
            while self._num_bytes > self._cache_bytes:
                self._drop(next(iter(self._cached)))
        return cached

    def _keep_absent(self, file: str, now_s: float) -> None:
        with self._lock:
            self._drop(file)
            self._absent[file] = now_s
            if len(self._absent) > MAX_ABSENT:
                self._absent.popitem(last=False)

    def _forget(self, file: str) -> None:
        with self._lock:
            self._drop(file)

    def _drop(self, file: str) -> None:
        self._absent.pop(file, None)
        if (cached := self._cached.pop(file, None)) is not None:
            self._num_bytes -= cached.num_bytes


def _styles_of(voice: Entry, entries: dict[str, Entry]) -> tuple[str, ...]:
    own = (entry for file, entry in entries.items() if len(ids := ids_in(file)) == 2 and ids[0] == voice.id)
    return tuple(sorted(entry.id for entry in own if entry.voice_making == voice.making and not entry.damage))


def _damaged(file: str, error: VoiceFileError) -> Entry:
    logger.error("the file %s cannot be used: %s", file, error)
    return _unusable(file, "its file is damaged; delete it and make it again")


def _unusable(file: str, why: str) -> Entry:
    entry_id = ids_in(file)[-1]
    return Entry(entry_id, entry_id, "", "", 0.0, damage=why)
