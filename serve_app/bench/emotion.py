"""What an emotion does to a voice, measured: pitch, length and loudness of the same sentences with and without it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from serve_app.audio.pcm import Samples
from serve_app.settings import Settings
from serve_app.speech.prosody import PRESETS
from serve_app.speech.request import SpeechBackend, SpeechRequest, VoiceChoice, collect, one_turn

SENTENCES = (
    "The train leaves the station at a quarter past nine.",
    "Nobody has ever counted all the stones on this beach.",
    "A letter came from the north, and we read it aloud.",
    "In the end they agreed to walk home through the park.",
)
LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0
_FRAME_S, _HOP_S = 0.04, 0.01
_VOICED = 0.6  # of a frame's energy, repeated after one period


@dataclass(frozen=True)
class Manner:
    """How a speech sounds."""

    pitch_hz: float  # median over voiced frames
    duration_s: float
    level_db: float


def manner_of(samples: Samples, sample_rate_hz: int) -> Manner:
    """Of [n] samples with speech in them."""
    pitches = pitches_of(samples, sample_rate_hz)
    power = float(np.mean(np.square(samples)))
    return Manner(float(np.median(pitches)), len(samples) / sample_rate_hz, 10.0 * float(np.log10(power)))


def pitches_of(samples: Samples, sample_rate_hz: int) -> list[float]:
    """Of each voiced frame of 40 ms: by autocorrelation, its peak placed between samples by a parabola."""
    num_frame, num_hop = int(_FRAME_S * sample_rate_hz), int(_HOP_S * sample_rate_hz)
    starts = range(0, len(samples) - num_frame, num_hop)
    loud = np.sqrt(np.mean(np.square(samples))) / 4.0
    frames = (samples[start : start + num_frame].astype(np.float64) for start in starts)
    found = (_pitch(frame, sample_rate_hz) for frame in frames if np.sqrt(np.mean(np.square(frame))) > loud)
    return [pitch_hz for pitch_hz in found if pitch_hz is not None]


def _pitch(frame: np.ndarray, sample_rate_hz: int) -> float | None:
    centred = frame - frame.mean()
    spectrum = np.abs(np.fft.rfft(centred, 2 * len(centred))) ** 2
    overlap = np.arange(len(centred), 0, -1) / len(centred)
    correlation = np.fft.irfft(spectrum)[: len(centred)] / overlap
    first, last = int(sample_rate_hz / HIGHEST_HZ), int(sample_rate_hz / LOWEST_HZ)
    peaks = [
        lag
        for lag in range(first + 1, min(last, len(correlation) - 1))
        if correlation[lag - 1] < correlation[lag] >= correlation[lag + 1]
    ]
    highest = max((correlation[lag] for lag in peaks), default=0.0)
    if highest < _VOICED * correlation[0]:
        return None
    lag = next(lag for lag in peaks if correlation[lag] > 0.9 * highest)  # not twice the period
    left, middle, right = correlation[lag - 1 : lag + 2]
    return float(sample_rate_hz / (lag + 0.5 * (left - right) / (left - 2.0 * middle + right)))


async def measure(
    backend: SpeechBackend, voice: str, intensities: Sequence[float], echo: Callable[[str], None]
) -> None:
    """A Markdown table: each preset and intensity against the plain voice, sentences and seeds the same."""
    plain = await _spoken(backend, voice, None, 1.0)
    echo(f"plain: {plain.pitch_hz:.0f} Hz, {plain.duration_s:.2f} s, {plain.level_db:.1f} dB")
    echo("| emotion | intensity | pitch, semitones (asked) | tempo (asked) | level, dB (asked) |")
    echo("| --- | --- | --- | --- | --- |")
    for name, preset in PRESETS.items():
        for intensity in intensities:
            heard, asked = await _spoken(backend, voice, name, intensity), preset.scaled(intensity)
            semitones = 12.0 * np.log2(heard.pitch_hz / plain.pitch_hz)
            echo(
                f"| {name} | {intensity:g} | {semitones:+.1f} ({asked.pitch_semitones:+.1f}) "
                f"| {plain.duration_s / heard.duration_s:.2f} ({asked.speed:.2f}) "
                f"| {heard.level_db - plain.level_db:+.1f} ({asked.gain_db:+.1f}) |"
            )


async def _spoken(backend: SpeechBackend, voice: str, style: str | None, intensity: float) -> Manner:
    status = await backend.status()
    spoken = []
    for number, sentence in enumerate(SENTENCES):
        choice = VoiceChoice(((voice, 1.0),), style=style, style_intensity=intensity)
        request = one_turn(sentence, "en", seed=number, is_streaming=False)
        turn = replace(request.turns[0], voice=choice)
        samples, _ = await collect(backend.stream(SpeechRequest((turn,), request.seed, is_streaming=False)))
        spoken.append(samples)
    return manner_of(np.concatenate(spoken), status.sample_rate_hz)


def run_emotion_bench(settings: Settings, voice: str, echo: Callable[[str], None]) -> None:
    """Loads the model here, and prints."""
    from serve_app.speech.service import SpeechService

    service = SpeechService.load(settings, lambda line: None)
    try:
        asyncio.run(measure(service, voice, (0.5, 1.0), echo))
    finally:
        service.close()
