"""What the presets do to a voice, measured: pitch, tempo and loudness by as much as the table says."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.audio.pcm import Samples
from serve_app.speech.prosody import PLAIN, PRESETS, Prosody, Shaper

RATE_HZ = 24_000


def buzz(pitch_hz: float, duration_s: float = 1.0) -> Samples:
    """A voice-like sound: harmonics that fall off."""
    time_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    wave = sum(np.sin(2 * np.pi * pitch_hz * k * time_s) / k for k in range(1, 12))
    return (0.1 * wave).astype(np.float32)


def pitch_of(samples: Samples, rate_hz: int = RATE_HZ, low_hz: float = 60.0, high_hz: float = 500.0) -> float:
    """By autocorrelation, its peak found between samples by a parabola."""
    centred = samples - samples.mean()
    spectrum = np.fft.rfft(centred, 2 * len(centred))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: len(centred)]
    first, last = int(rate_hz / high_hz), int(rate_hz / low_hz)
    lag = first + int(np.argmax(correlation[first:last]))
    left, middle, right = correlation[lag - 1 : lag + 2]
    return rate_hz / (lag + 0.5 * (left - right) / (left - 2 * middle + right))


def shaped(prosody: Prosody, samples: Samples, chunk: int | None = None) -> Samples:
    shaper = Shaper(prosody, RATE_HZ)
    chunk = chunk or len(samples)
    fed = [shaper.feed(samples[start : start + chunk]) for start in range(0, len(samples), chunk)]
    return np.concatenate([*fed, shaper.finish()])


@pytest.mark.parametrize("semitones", [-3.0, -1.2, 0.6, 1.5, 3.0])
@pytest.mark.parametrize("pitch_hz", [110.0, 220.0])
def test_pitch_moves_by_the_semitones_asked_for(semitones: float, pitch_hz: float) -> None:
    heard = shaped(Prosody(pitch_semitones=semitones), buzz(pitch_hz))
    assert 12.0 * np.log2(pitch_of(heard) / pitch_hz) == pytest.approx(semitones, abs=0.05)


@pytest.mark.parametrize("semitones", [-3.0, 1.5])
def test_duration_stays_when_the_vocoder_speaks_at_the_speed_it_is_given(semitones: float) -> None:
    prosody = Prosody(speed=1.1, pitch_semitones=semitones)
    spoken = buzz(150.0, 2.0 / prosody.vocoder_speed(1.25))  # as long as the vocoder makes it
    assert len(shaped(prosody, spoken)) / RATE_HZ == pytest.approx(2.0 / 1.25 / 1.1, abs=1e-3)


@given(st.sampled_from([-3.0, 0.6, 1.5]), st.integers(1, 5_000))
def test_streamed_equals_whole(semitones: float, chunk: int) -> None:
    prosody, samples = Prosody(pitch_semitones=semitones, gain_db=4.0), buzz(180.0, 0.4)
    np.testing.assert_array_equal(shaped(prosody, samples, chunk), shaped(prosody, samples))


@pytest.mark.parametrize("gain_db", [-3.0, 4.0])
def test_quiet_samples_get_louder_by_the_decibels_asked_for(gain_db: float) -> None:
    samples = buzz(150.0)
    heard = shaped(Prosody(gain_db=gain_db), samples)
    gained_db = 10.0 * np.log10(np.mean(heard**2) / np.mean(samples**2))
    assert gained_db == pytest.approx(gain_db, abs=0.05)


def test_loud_samples_never_clip_and_keep_their_order() -> None:
    ramp = np.linspace(-1.0, 1.0, 2_001, dtype=np.float32)
    heard = shaped(Prosody(gain_db=6.0), ramp)
    assert np.abs(heard).max() <= 1.0
    assert np.all(np.diff(heard) >= 0.0)


def test_plain_prosody_leaves_every_sample_alone() -> None:
    samples = buzz(150.0)
    np.testing.assert_array_equal(shaped(PLAIN, samples, 1_000), samples)


@pytest.mark.parametrize("name", ["happy", "sad", "angry"])
def test_preset_grows_with_its_intensity(name: str) -> None:
    steps = [astuple(PRESETS[name].scaled(intensity)) for intensity in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert (steps[0], steps[-1]) == (astuple(PLAIN), astuple(PRESETS[name]))
    for values in zip(*steps, strict=True):
        assert list(values) in (sorted(values), sorted(values, reverse=True))


def test_vocoder_is_never_asked_for_a_speed_it_has_not() -> None:
    for preset in PRESETS.values():
        for speed in (0.5, 1.0, 2.0):
            assert 0.5 <= preset.vocoder_speed(speed) <= 2.0
        assert 0.05 <= preset.sampling_temperature(0.05) <= preset.sampling_temperature(2.0) <= 2.0
