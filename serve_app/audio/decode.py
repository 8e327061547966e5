"""From uploaded bytes or base64 text to a checked mono recording. Knows libsndfile's formats, no HTTP and no model.

Nothing an upload claims is trusted: its size is checked before it is decoded, and decoding stops at the limits below
whatever the header says. What a file that was cut off still holds is used, where its decoder can go on to the end
(WAV, MP3, OGG); FLAC notices the cut and is refused. A recording left too short by it is refused with the voice.
"""

import base64
import binascii
import io
import string

import numpy as np
import soundfile

from serve_app.audio.pcm import Recording, Samples
from serve_app.errors import InvalidAudio, InvalidBase64, ReferenceTooLong, UploadTooLarge

MAX_DURATION_S = 600
MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ = 8_000, 192_000
MAX_CHANNELS = 8
# Bound memory and time where rate and channels are high: ten minutes of 48 kHz, in stereo.
MAX_DECODED_FRAMES = MAX_DURATION_S * 48_000
MAX_DECODED_VALUES = MAX_DECODED_FRAMES * 2
MAX_PEAK = 10.0  # of full scale; floats above it are integers that were never scaled
SILENCE_PEAK = 1e-4  # −80 dB of full scale

_BLOCK_FRAMES = 65_536
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's SF_COUNT_MAX stands for "the header does not say"
_ACCEPTED = "send WAV, FLAC, MP3 or OGG (Vorbis or Opus)"
_FOREIGN_CONTAINERS = (
    (4, b"ftyp", "an MP4/M4A file"),
    (0, b"\x1aE\xdf\xa3", "a WebM/Matroska file"),
    (0, b"FORM", "an AIFF file"),
    (0, b"#!AMR", "an AMR file"),
)


class _SequentialFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile ships no types
    """A file read from front to back.

    soundfile seeks after every read of a seekable file, which fails where FLAC does not know its length and is inexact
    in MP3; it also bounds reads by the header's length.
    """

    def seekable(self) -> bool:
        return False


def decode_recording(data: bytes, *, max_bytes: int, field: str) -> Recording:
    """The recording in a WAV, FLAC, MP3 or OGG file: channels averaged, at the file's own rate, finite, not silent.

    `field` is the request's field that errors name. Raises UploadTooLarge, ReferenceTooLong and InvalidAudio.
    """
    if len(data) > max_bytes:
        raise _too_large(max_bytes, field)
    _check_container(data, field)
    try:
        with _SequentialFile(io.BytesIO(data)) as file:
            _check_header(file, field)
            sample_rate_hz = file.samplerate
            samples = _read_mono(file, field)
    except soundfile.SoundFileError as error:
        message = f"the audio cannot be decoded: {_reason(error)}; export it again and {_ACCEPTED}"
        raise InvalidAudio(message, field=field) from error
    _check_samples(samples, field)
    return Recording(samples, sample_rate_hz)


def _reason(error: soundfile.SoundFileError) -> str:
    """libsndfile's own words, without the name of the object it read from."""
    text: str = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
    if text.startswith("File does not exist"):  # what an MP3 without a single frame is called
        return "it holds no audio frames"
    return text.strip().removeprefix("Error : ").rstrip(".")


def file_of_base64(text: str, *, max_bytes: int, field: str) -> bytes:
    """The file in a base64 text, with or without a `data:…;base64,` prefix; white space in it is ignored.

    Raises InvalidBase64 and UploadTooLarge. The size is checked before anything is decoded.
    """
    max_characters = 4 * -(-max_bytes // 3)
    if len(text) > 2 * max_characters + 1024:
        raise _too_large(max_bytes, field)
    try:
        payload = _without_data_url(text, field).encode("ascii").translate(None, string.whitespace.encode())
        if len(payload) > max_characters:
            raise _too_large(max_bytes, field)
        data = base64.b64decode(payload, validate=True)
    except UnicodeEncodeError as error:
        raise InvalidBase64("not valid base64: it holds characters outside ASCII", field=field) from error
    except (binascii.Error, ValueError) as error:
        message = f"not valid base64 ({error}); send the audio file's bytes in standard base64 with padding"
        raise InvalidBase64(message, field=field) from error
    if not data:
        raise InvalidBase64("the base64 text is empty; send an audio file's bytes, or leave the field out", field=field)
    return data


def _without_data_url(text: str, field: str) -> str:
    if not text[:64].lstrip().lower().startswith("data:"):
        return text
    prefix, comma, payload = text.partition(",")
    if not comma or not prefix.rstrip().lower().endswith(";base64"):
        raise InvalidBase64("the data: URL is not base64; send data:audio/wav;base64,… or plain base64", field=field)
    return payload


def _too_large(max_bytes: int, field: str) -> UploadTooLarge:
    limit = f"{max_bytes / 2**20:.0f} MiB" if max_bytes >= 2**20 else f"{max_bytes} bytes"
    message = f"the recording is larger than {limit}; send 10 to 15 seconds of speech, or a compressed format"
    return UploadTooLarge(message, field=field)


def _check_container(data: bytes, field: str) -> None:
    """Only the formats we promise reach libsndfile, whose parsers of rarer ones are little tested."""
    if not data:
        raise InvalidAudio(f"the audio file is empty; {_ACCEPTED}", field=field)
    if data[:4] in (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS") or data[:3] == b"ID3":
        return
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:  # MPEG audio's frame sync
        return
    names = [name for start, magic, name in _FOREIGN_CONTAINERS if data[start : start + len(magic)] == magic]
    raise InvalidAudio(f"this is {names[0] if names else 'not an audio file we know'}; {_ACCEPTED}", field=field)


def _check_header(file: soundfile.SoundFile, field: str) -> None:
    if not MIN_SAMPLE_RATE_HZ <= file.samplerate <= MAX_SAMPLE_RATE_HZ:
        message = (
            f"the sample rate is {file.samplerate} Hz; "
            f"send audio between {MIN_SAMPLE_RATE_HZ} and {MAX_SAMPLE_RATE_HZ} Hz, best 22050 or more"
        )
        raise InvalidAudio(message, field=field)
    if file.channels > MAX_CHANNELS:
        message = f"the recording has {file.channels} channels; send {MAX_CHANNELS} at most, best one"
        raise InvalidAudio(message, field=field)
    if file.frames < _UNKNOWN_FRAMES and file.frames > _max_frames(file):
        raise _too_long(file, field)


def _max_frames(file: soundfile.SoundFile) -> int:
    sample_rate_hz: int = file.samplerate
    num_channels: int = file.channels
    return min(MAX_DURATION_S * sample_rate_hz, MAX_DECODED_FRAMES, MAX_DECODED_VALUES // num_channels)


def _too_long(file: soundfile.SoundFile, field: str) -> ReferenceTooLong:
    limit_s = _max_frames(file) // file.samplerate
    message = f"the recording is longer than {limit_s} seconds; send 10 to 15 seconds of clear speech"
    return ReferenceTooLong(message, field=field)


def _read_mono(file: soundfile.SoundFile, field: str) -> Samples:
    """All frames as the mean of their channels; gives up one block after the limit."""
    blocks: list[Samples] = []
    num_frames, max_frames = 0, _max_frames(file)
    while True:
        block = file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)  # [frames, channels]
        if len(block) == 0:
            break
        num_frames += len(block)
        if num_frames > max_frames:
            raise _too_long(file, field)
        with np.errstate(over="ignore", invalid="ignore"):  # `_check_samples` refuses what comes of it
            blocks.append(block.mean(axis=1, dtype=np.float32))
    return np.concatenate(blocks) if blocks else np.empty(0, np.float32)


def _check_samples(samples: Samples, field: str) -> None:
    if len(samples) == 0:
        raise InvalidAudio(f"the audio file holds no samples; {_ACCEPTED}", field=field)
    lowest, highest = float(samples.min()), float(samples.max())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        message = "the audio holds samples that are not finite numbers; export it again as 16-bit WAV"
        raise InvalidAudio(message, field=field)
    if max(-lowest, highest) > MAX_PEAK:
        message = (
            f"samples reach {max(-lowest, highest):.4g} where full scale is 1; scale floats to ±1, or send integers"
        )
        raise InvalidAudio(message, field=field)
    if highest - lowest < 2 * SILENCE_PEAK:  # an offset alone is silence too
        raise InvalidAudio("the recording is silent; check the microphone and send it again", field=field)
