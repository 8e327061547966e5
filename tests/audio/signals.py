"""Sounds and files that the tests of decoding are made of."""

import io
import random

import numpy as np
import numpy.typing as npt
import soundfile

from serve_app.audio.pcm import Samples

LOSSLESS = ("wav", "wav-float", "flac")
LOSSY = ("mp3", "vorbis", "opus")
FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "wav-float": ("WAV", "FLOAT"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
}


def tone(duration_s: float, sample_rate_hz: int, frequency_hz: float = 220.0) -> Samples:
    time_s = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    return (0.4 * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


def sweep(duration_s: float, sample_rate_hz: int = 24_000) -> Samples:
    """From 150 to 3,000 Hz: no two places in it are alike."""
    time_s = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    phase = 2 * np.pi * (150.0 * time_s + (3_000.0 - 150.0) / (2 * duration_s) * time_s**2)
    return (0.4 * np.sin(phase)).astype(np.float32)


def write(samples: npt.NDArray[np.float32], sample_rate_hz: int, name: str = "wav") -> bytes:
    """A whole file; `samples` is [frames] or [frames, channels]."""
    file_format, subtype = FORMATS[name]
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate_hz, format=file_format, subtype=subtype)
    return file.getvalue()


def mutated(whole: bytes, rng: random.Random) -> bytes:
    """The file with bytes changed, most often in its header, and now and then cut off or with something put in."""
    data = bytearray(whole)
    for _ in range(rng.choice([1, 2, 8, 64])):
        data[rng.randrange(min(len(data), rng.choice([64, 512, len(data)])))] = rng.randrange(256)
    if rng.random() < 0.3:
        del data[rng.randrange(len(data)) :]
    if rng.random() < 0.2:
        start = rng.randrange(len(data) + 1)
        data[start:start] = rng.randbytes(rng.choice([1, 7, 300]))
    return bytes(data)
