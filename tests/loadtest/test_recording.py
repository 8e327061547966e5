"""Recordings made of one, without any library: all different, and all the same voice."""

import io
import wave
from random import Random

import numpy as np
import pytest
import soundfile

from loadtest.recordings import audio_file, new_recording
from loadtest.workload.recording import HISS, Recorder


def test_recordings_are_stretches_with_another_hiss_each() -> None:
    file = new_recording(Random(3), 30.0)
    reading, rate_hz = soundfile.read(io.BytesIO(file), dtype="int16")
    recorder, rng = Recorder(audio_file(reading / np.float32(2**15), rate_hz)), Random(1)
    first, second = recorder(rng), recorder(rng)
    assert first != second and Recorder(file_of(reading, rate_hz))(Random(1)) == first
    samples, _ = soundfile.read(io.BytesIO(first), dtype="int16")
    assert 7.0 <= len(samples) / rate_hz <= 12.0
    quiet = reading & ~int.from_bytes(HISS, "little")
    windows = np.lib.stride_tricks.sliding_window_view(quiet, 400)
    start = np.flatnonzero((windows == (samples & ~int.from_bytes(HISS, "little"))[:400]).all(axis=1))[0]
    assert np.abs(reading[start : start + len(samples)].astype(int) - samples).max() <= 3


def file_of(samples: np.ndarray, rate_hz: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, rate_hz, 0, "NONE", ""))
        written.writeframes(samples.tobytes())
    return file.getvalue()


def test_short_recording_is_taken_whole() -> None:
    recorder = Recorder(file_of(np.zeros(8_000, np.int16), 8_000))
    assert len(soundfile.read(io.BytesIO(recorder(Random(1))))[0]) == 8_000


@pytest.mark.parametrize(
    ("file", "said"),
    [(b"no audio", "no WAV"), (b"", "no WAV"), (audio_file(np.zeros((100, 2), np.float32), 8_000), "2 channels")],
)
def test_other_files_are_refused(file: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Recorder(file)
