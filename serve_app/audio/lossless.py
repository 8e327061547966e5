"""Speech to be kept and read again: FLAC, 16 bit, one channel. What is read is what was written, bit for bit."""

import io

import numpy as np
import soundfile

from serve_app.audio.pcm import Samples, to_int16_bytes

_FULL_SCALE = 32_767.0


def to_flac(samples: Samples, sample_rate_hz: int) -> bytes:
    """A whole FLAC file of `samples` [n], ±1; nothing for no samples."""
    if not len(samples):
        return b""
    file = io.BytesIO()
    pcm = np.frombuffer(to_int16_bytes(samples), dtype="<i2")
    soundfile.write(file, pcm, sample_rate_hz, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def from_flac(data: bytes) -> Samples:
    """The samples [n] in a file that `to_flac` made. Raises ValueError for any other."""
    if not data:
        return np.zeros(0, dtype=np.float32)
    try:
        pcm, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    except soundfile.SoundFileError as error:
        raise ValueError(f"it is no FLAC file: {error}") from error
    return np.asarray(pcm, dtype=np.float32) / np.float32(_FULL_SCALE)
