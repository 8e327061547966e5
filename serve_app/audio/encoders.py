"""From PCM samples to the bytes of an audio format, chunk by chunk. Knows formats, no transport.

A stream is `start()`, any number of `encode(samples)`, `finish()`; joined in that order they are one file.
"""

import struct
from collections.abc import Callable
from functools import partial
from typing import Protocol

from serve_app.audio.compressed import CODECS, CompressedEncoder
from serve_app.audio.pcm import Samples, to_int16_bytes
from serve_app.errors import RequestError

SAMPLE_RATE_HZ = 24_000
UNKNOWN_LENGTH = 0xFFFFFFFF

_HEADER_BYTES = 44
_BYTES_PER_SAMPLE = 2


class Encoder(Protocol):
    """One stream's encoder; it may keep state, so every stream has its own."""

    @property
    def mime_type(self) -> str: ...

    def start(self) -> bytes:
        """The bytes before the first sample."""

    def encode(self, samples: Samples) -> bytes:
        """The bytes that `samples` [n], mono, ±1, make ready; may be empty."""

    def finish(self) -> bytes:
        """The bytes after the last sample."""


class PcmEncoder:
    """Signed 16-bit little-endian mono samples and nothing else."""

    mime_type = "audio/pcm"

    def start(self) -> bytes:
        return b""

    def encode(self, samples: Samples) -> bytes:
        return to_int16_bytes(samples)

    def finish(self) -> bytes:
        return b""


class WavEncoder(PcmEncoder):
    """16-bit mono WAV. Where `num_samples` is not known when it starts, or is over 4 GiB, both sizes of its header say
    0xFFFFFFFF, which players and libsndfile read as "to the end of the stream".
    """

    mime_type = "audio/wav"

    def __init__(self, sample_rate_hz: int = SAMPLE_RATE_HZ, num_samples: int | None = None) -> None:
        self.sample_rate_hz, self._num_samples = sample_rate_hz, num_samples

    def start(self) -> bytes:
        num_data_bytes = None if self._num_samples is None else self._num_samples * _BYTES_PER_SAMPLE
        if num_data_bytes is not None and num_data_bytes > UNKNOWN_LENGTH - _HEADER_BYTES:
            num_data_bytes = None
        return _wav_header(self.sample_rate_hz, num_data_bytes)


def encode_wav(samples: Samples, sample_rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """A whole 16-bit mono WAV file of `samples` [n], ±1, its sizes exact."""
    data = to_int16_bytes(samples)
    return _wav_header(sample_rate_hz, len(data)) + data


def encode_whole(samples: Samples, encoder: Encoder) -> bytes:
    """A whole file of `samples` [n], ±1; a WAV's sizes are exact."""
    if isinstance(encoder, WavEncoder):
        return encode_wav(samples, encoder.sample_rate_hz)
    return encoder.start() + encoder.encode(samples) + encoder.finish()


MIME_TYPES = (*dict.fromkeys(codec.mime_type for codec in CODECS.values()), WavEncoder.mime_type, PcmEncoder.mime_type)


def encoder_for(format_name: str, sample_rate_hz: int = SAMPLE_RATE_HZ, *, field: str = "response_format") -> Encoder:
    """A new encoder of the format named: mp3, opus, aac, flac, wav or pcm. Raises RequestError for another."""
    makers: dict[str, Callable[[], Encoder]] = {
        **{name: partial(CompressedEncoder, codec, sample_rate_hz) for name, codec in CODECS.items()},
        "wav": partial(WavEncoder, sample_rate_hz),
        "pcm": PcmEncoder,
    }
    if format_name not in makers:
        message = f"the format {format_name[:40]!r} is not known; choose one of: {', '.join(makers)}"
        raise RequestError(message, field=field)
    return makers[format_name]()


def _wav_header(sample_rate_hz: int, num_data_bytes: int | None) -> bytes:
    """The 44 bytes before the samples (Microsoft's RIFF WAVE, format 1: PCM)."""
    riff_bytes = UNKNOWN_LENGTH if num_data_bytes is None else _HEADER_BYTES - 8 + num_data_bytes
    data_bytes = UNKNOWN_LENGTH if num_data_bytes is None else num_data_bytes
    byte_rate = sample_rate_hz * _BYTES_PER_SAMPLE
    riff = struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate_hz, byte_rate, _BYTES_PER_SAMPLE, 16)
    return riff + layout + struct.pack("<4sI", b"data", data_bytes)
