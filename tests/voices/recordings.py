"""Recordings of people reading, shipped by the package moonshine-voice, which is never imported: its files are read."""

import importlib.util
from functools import cache
from pathlib import Path

import soundfile

from serve_app.audio.pcm import Recording

TWO_CITIES = "two_cities.wav"  # 44.4 s at 48 kHz, one man reading without long pauses
BECKETT = "beckett.wav"  # 10.0 s at 16 kHz, half of it pauses of about 0.7 s
CLONE_TEST = "clone-test.wav"  # 4.1 s at 16 kHz, 3.6 s of it speech
CHIME = "success.wav"  # 1.0 s at 48 kHz without speech


def recording_path(name: str = BECKETT) -> Path:
    spec = importlib.util.find_spec("moonshine_voice")
    assert spec is not None, "the recordings are missing: install the test requirements"
    assert spec.origin is not None
    return Path(spec.origin).parent / "assets" / name


@cache
def recording(name: str) -> Recording:
    samples, sample_rate_hz = soundfile.read(recording_path(name), dtype="float32")
    samples.flags.writeable = False
    return Recording(samples, sample_rate_hz)


def excerpt(name: str, start_s: float, end_s: float) -> Recording:
    whole = recording(name)
    rate_hz = whole.sample_rate_hz
    return Recording(whole.samples[round(start_s * rate_hz) : round(end_s * rate_hz)].copy(), rate_hz)
