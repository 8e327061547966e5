"""Emotions without a recording: what tempo, liveliness, pitch and loudness become, and the samples with it.

The vocoder changes tempo and keeps the pitch. So a voice that is to sound p times as high speaks p times as slowly, and
its samples are then played p times as fast. Imports no torch.
"""

import math
from dataclasses import dataclass

import numpy as np
import soxr

from serve_app.audio.pcm import Samples

MIN_SPEED, MAX_SPEED = 0.5, 2.0  # of the vocoder
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 2.0
_KNEE = 0.8  # of full scale: beyond it what is made louder bends, and never clips


@dataclass(frozen=True)
class Prosody:
    """What is done to a voice's own way of speaking."""

    speed: float = 1.0  # a factor
    temperature: float = 1.0  # a factor
    pitch_semitones: float = 0.0
    gain_db: float = 0.0

    def scaled(self, intensity: float) -> "Prosody":
        """So much of it: 0 is nothing, 1 is all."""
        return Prosody(
            self.speed**intensity,
            self.temperature**intensity,
            self.pitch_semitones * intensity,
            self.gain_db * intensity,
        )

    @property
    def pitch_factor(self) -> float:
        return math.pow(2.0, self.pitch_semitones / 12.0)

    @property
    def gain(self) -> float:
        return math.pow(10.0, self.gain_db / 20.0)

    def vocoder_speed(self, speed: float) -> float:
        """What the vocoder is asked for where a caller asked for `speed`."""
        return min(MAX_SPEED, max(MIN_SPEED, speed * self.speed / self.pitch_factor))

    def sampling_temperature(self, temperature: float) -> float:
        return min(MAX_TEMPERATURE, max(MIN_TEMPERATURE, temperature * self.temperature))


PLAIN = Prosody()
PRESETS = {
    "neutral": PLAIN,
    "happy": Prosody(speed=1.08, temperature=1.1, pitch_semitones=1.5, gain_db=1.5),
    "sad": Prosody(speed=0.87, temperature=0.9, pitch_semitones=-1.2, gain_db=-3.0),
    "angry": Prosody(speed=1.1, temperature=1.15, pitch_semitones=0.6, gain_db=4.0),
}


class Shaper:
    """Pitch and loudness for the samples of one sentence. The same whatever chunks they come in."""

    def __init__(self, prosody: Prosody, sample_rate_hz: int) -> None:
        self._gain = prosody.gain
        self._resampler: soxr.ResampleStream | None = None
        if prosody.pitch_semitones:
            fast_rate_hz = sample_rate_hz * prosody.pitch_factor
            self._resampler = soxr.ResampleStream(fast_rate_hz, sample_rate_hz, 1, dtype="float32")

    def feed(self, samples: Samples) -> Samples:
        """What can be heard by now, [n]."""
        return self._shaped(samples, is_last=False)

    def finish(self) -> Samples:
        """What is left at the sentence's end."""
        return self._shaped(np.zeros(0, np.float32), is_last=True)

    def _shaped(self, samples: Samples, *, is_last: bool) -> Samples:
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=is_last)
        return samples if self._gain == 1.0 else _louder(samples, self._gain)


def _louder(samples: Samples, gain: float) -> Samples:
    """Or less loud. What would exceed the knee nears full scale and never reaches it."""
    raised = samples * np.float32(gain)
    if gain <= 1.0:
        return raised
    level = np.abs(raised)
    bent = _KNEE + (1.0 - _KNEE) * np.tanh((level - _KNEE) / (1.0 - _KNEE))
    return np.where(level <= _KNEE, raised, np.sign(raised) * bent).astype(np.float32)
