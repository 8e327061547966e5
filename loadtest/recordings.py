"""Reference recordings that nobody has sent before: stretches of a real reader, each with a hiss of its own.

The reading comes with the package moonshine-voice (a test requirement), which is never imported: its file is read.
"""

import importlib.util
import io
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import soundfile
import soxr

from serve_app.audio.pcm import Samples
from serve_app.errors import StartupError

READING = "two_cities.wav"  # 44.4 s at 48 kHz, one man reading without long pauses
MIN_S, MAX_S = 7.0, 12.0
HISS = 1e-3  # of full scale: inaudible, and another voice to the service
FORMATS = ("WAV", "FLAC")


def has_reading() -> bool:
    return importlib.util.find_spec("moonshine_voice") is not None


@cache
def reading() -> tuple[Samples, int]:
    """All of it [num_samples], and its rate in Hz. Raises `StartupError` where it is not installed."""
    spec = importlib.util.find_spec("moonshine_voice")
    if spec is None or spec.origin is None:
        raise StartupError("the recordings are missing: install the test requirements (make check does)")
    samples, rate_hz = soundfile.read(Path(spec.origin).parent / "assets" / READING, dtype="float32")
    return samples, rate_hz


def reading_at(rate_hz: int) -> Samples:
    """All of it at another rate [num_samples]. Raises `StartupError` where it is not installed."""
    samples, own_rate_hz = reading()
    resampled: Samples = soxr.resample(samples, own_rate_hz, rate_hz).astype(np.float32)
    return resampled


def new_recording(rng: Random, duration_s: float | None = None) -> bytes:
    """A file of speech that differs from every other one made with another state of `rng`."""
    whole, rate_hz = reading()
    num_samples = round((rng.uniform(MIN_S, MAX_S) if duration_s is None else duration_s) * rate_hz)
    start = rng.randrange(len(whole) - num_samples)
    hiss = np.random.default_rng(rng.getrandbits(64)).standard_normal(num_samples, dtype=np.float32)
    return audio_file(whole[start : start + num_samples] + HISS * hiss, rate_hz, rng.choice(FORMATS))


def reading_of(duration_s: float, *, from_end: bool = False) -> bytes:
    """The reader's first seconds, or his last, as WAV."""
    whole, rate_hz = reading()
    num_samples = round(duration_s * rate_hz)
    assert num_samples <= len(whole)
    return audio_file(whole[-num_samples:] if from_end else whole[:num_samples], rate_hz)


def audio_file(samples: Samples, rate_hz: int, file_format: str = "WAV") -> bytes:
    """16 bits a sample."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=file_format, subtype="PCM_16")
    return file.getvalue()
