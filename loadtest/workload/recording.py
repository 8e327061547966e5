"""Recordings that nobody has sent before, made of one: a stretch of it whose lowest bits are drawn anew."""

import io
import wave
from random import Random

SAMPLE_BYTES = 2
MIN_S, MAX_S = 7.0, 12.0
HISS = b"\x03\x00"  # bits of a sample that are drawn: inaudible, and another voice to the service


class Recorder:
    """Makes WAV files. Raises `ValueError` for `file` that is no WAV of one channel with 16 bits."""

    def __init__(self, file: bytes) -> None:
        try:
            with wave.open(io.BytesIO(file)) as reading:
                shape = (reading.getnchannels(), reading.getsampwidth())
                self._rate_hz, self._samples = reading.getframerate(), reading.readframes(reading.getnframes())
        except (wave.Error, EOFError) as error:
            raise ValueError(f"the recording is no WAV file: {error}") from error
        if shape != (1, SAMPLE_BYTES):
            raise ValueError(f"the recording has {shape[0]} channels of {8 * shape[1]} bits; it must have 1 of 16")

    def __call__(self, rng: Random) -> bytes:
        num_all = len(self._samples) // SAMPLE_BYTES
        num = min(num_all, round(rng.uniform(MIN_S, MAX_S) * self._rate_hz))
        start = SAMPLE_BYTES * rng.randrange(num_all - num + 1)
        return self._file(_with_hiss(self._samples[start : start + SAMPLE_BYTES * num], rng))

    def _file(self, samples: bytes) -> bytes:
        file = io.BytesIO()
        with wave.open(file, "wb") as written:
            written.setnchannels(1)
            written.setsampwidth(SAMPLE_BYTES)
            written.setframerate(self._rate_hz)
            written.writeframes(samples)
        return file.getvalue()


def _with_hiss(samples: bytes, rng: Random) -> bytes:
    """All samples at once, as one great number."""
    mask = int.from_bytes(HISS * (len(samples) // SAMPLE_BYTES))
    hiss = int.from_bytes(rng.randbytes(len(samples))) & mask
    return (int.from_bytes(samples) ^ hiss).to_bytes(len(samples))
