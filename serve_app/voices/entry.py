"""A voice or a style that a user made, and its file: what is known of it, and its recording. Imports no torch.

The recording is kept rather than what a model made of it, so a voice outlives a change of the model. It is as long as a
model hears (30 s), 22.05 kHz, int16, in a safetensors file whose header holds the rest, to be read alone.
"""

import hashlib
import json
import re
import secrets
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from anyascii import anyascii
from safetensors import SafetensorError
from safetensors.numpy import load, save

from serve_app.audio.pcm import Recording, Samples
from serve_app.errors import RequestError
from serve_app.voices.storage import VoiceFileError

HEAD_BYTES = 64 * 1024  # of a file: what is known of a voice stands in them
RATE_HZ = 22_050
MAX_NAME_CHARS, MAX_DESCRIPTION_CHARS = 100, 1_000
VOICES, STYLES, LATENTS = "custom", "styles", "latents"  # folders of the storage

_FORMAT = "1"
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_HEADER_SIZE_BYTES = 8  # at a file's beginning, little-endian; the header, JSON, follows
_FULL_SCALE = 32_767.0


@dataclass(frozen=True)
class Entry:
    """A voice or a style without its recording. `owner` is the name of the API key that made it, None without keys.

    `making` is another one each time that something of this id is made. A style of a voice has the voice's, so that it
    is not taken for one of a later voice of the same id.
    """

    id: str
    name: str
    making: str
    created_at: str  # ISO 8601, UTC
    speech_s: float
    description: str = ""
    warnings: tuple[str, ...] = ()
    owner: str | None = None
    is_shared: bool = False  # with other API keys
    has_consent: bool = False
    voice_making: str = ""
    damage: str = ""  # why its file cannot be used; "" where it can

    def __post_init__(self) -> None:
        assert is_id(self.id)


def new_entry(entry_id: str, name: str, speech_s: float, warnings: tuple[str, ...], **known: Any) -> Entry:
    """One that is made now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Entry(entry_id, name, secrets.token_hex(8), now, round(speech_s, 2), warnings=warnings, **known)


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def checked_id(text: str, field: str) -> str:
    """The id. Raises RequestError for what is none: an id becomes a file's name."""
    if not is_id(text):
        raise RequestError(
            f"{text[:80]!r} is no id: use up to 64 of a-z, 0-9, dash and underscore, a letter or digit first.",
            field=field,
        )
    return text


def id_of(name: str) -> str:
    """An id for a voice of this name: `Anna's voice` is `anna-s-voice`, `지수` is `jisu`.

    Raises RequestError where none can be made.
    """
    made = re.sub(r"[^a-z0-9_]+", "-", anyascii(name).lower()).strip("-_")[:64].rstrip("-_")
    if not made:
        raise RequestError("No id can be made of this name; send one, such as my-voice, in `id`.", field="id")
    return made


def voice_file(voice_id: str) -> str:
    assert is_id(voice_id)
    return f"{VOICES}/{voice_id}.safetensors"


def style_file(style_id: str, voice_id: str | None) -> str:
    """Of a voice's own style, or of one for all voices. Ids hold no dots, so no two things have one name."""
    assert is_id(style_id) and (voice_id is None or is_id(voice_id))
    return f"{STYLES}/{style_id}.safetensors" if voice_id is None else f"{VOICES}/{voice_id}.{style_id}.safetensors"


def ids_in(file: str) -> tuple[str, ...]:
    """(voice,), (style,) or (voice, style) of a file's name; nothing for what is no file of ours."""
    stem, _, suffix = file.rpartition("/")[2].rpartition(".")
    ids = tuple(stem.split("."))
    return ids if suffix == "safetensors" and len(ids) <= 2 and all(is_id(each) for each in ids) else ()


def latents_prefix(samples: npt.NDArray[np.int16]) -> str:
    """What the names of files with the latents of this recording begin with, whatever the model."""
    return f"{LATENTS}/{hashlib.sha256(samples.tobytes()).hexdigest()[:32]}-"


def to_int16(samples: Samples) -> npt.NDArray[np.int16]:
    return np.round(np.clip(samples, -1.0, 1.0) * _FULL_SCALE).astype(np.int16)


def from_int16(samples: npt.NDArray[np.int16]) -> Recording:
    """Always the same floats, of which a voice's latents are found by a hash."""
    return Recording(samples.astype(np.float32) / np.float32(_FULL_SCALE), RATE_HZ)


def to_file(entry: Entry, samples: npt.NDArray[np.int16]) -> bytes:
    known = json.dumps(asdict(entry), ensure_ascii=False)
    return save({"samples": samples}, {"format": _FORMAT, "entry": known})


def entry_of(head: bytes, num_bytes: int, entry_id: str) -> Entry:
    """The entry in the first `HEAD_BYTES` of a file of `num_bytes`. Raises VoiceFileError for what is not its file."""
    end = _HEADER_SIZE_BYTES + int.from_bytes(head[:_HEADER_SIZE_BYTES], "little")
    if not _HEADER_SIZE_BYTES < end <= min(len(head), HEAD_BYTES):
        raise VoiceFileError("it has no header")
    try:
        header = json.loads(head[_HEADER_SIZE_BYTES:end])
        metadata, end_of_samples = header["__metadata__"], header["samples"]["data_offsets"][1]
        known = json.loads(metadata["entry"])
        known["warnings"] = tuple(known["warnings"])
        entry = Entry(**{each.name: known[each.name] for each in fields(Entry) if each.name in known})
    except (ValueError, KeyError, TypeError, RecursionError, AssertionError) as error:
        raise VoiceFileError(f"its header cannot be read: {error!r}") from error
    if end + end_of_samples != num_bytes:
        raise VoiceFileError("it was cut off")
    if metadata.get("format") != _FORMAT or entry.id != entry_id or not _is_well_typed(entry):
        raise VoiceFileError("it is another one's file or of another version")
    return entry


def samples_of(data: bytes) -> npt.NDArray[np.int16]:
    """The recording in a whole file. Raises VoiceFileError."""
    try:
        samples = load(data)["samples"]
    except (SafetensorError, KeyError) as error:
        raise VoiceFileError(f"it is damaged: {error!r}") from error
    if samples.dtype != np.int16 or samples.ndim != 1 or not len(samples):
        raise VoiceFileError(f"its recording is {samples.dtype} of the shape {samples.shape}")
    return samples


def _is_well_typed(entry: Entry) -> bool:
    texts = (
        entry.id,
        entry.name,
        entry.making,
        entry.created_at,
        entry.description,
        entry.voice_making,
        *entry.warnings,
    )
    flags = (entry.is_shared, entry.has_consent)
    return (
        all(isinstance(each, str) for each in texts)
        and all(isinstance(each, bool) for each in flags)
        and (entry.owner is None or isinstance(entry.owner, str))
        and isinstance(entry.speech_s, int | float)
    )
