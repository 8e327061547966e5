"""From a recording to the reference the model hears: silence trimmed, the best 30 s, 22.05 kHz. Knows no latents.

Speech keeps up to 0.3 s of what surrounds it, so pauses up to 0.6 s stay as they are; what is left of longer ones is
joined by short fades. Of a recording that is still longer than 30 s one window of 30 s is used: among those that hold
nearly the most speech, the one with the least clipping, then the quietest background. A reference ends at a full half
second, and a recording with nothing to trim is else only resampled, exactly as coqui-tts does it.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr
import torch
import torchaudio

from serve_app.audio.pcm import Recording, Samples
from serve_app.errors import ReferenceTooShort
from serve_app.voices.entry import from_int16, to_int16
from serve_app.voices.info import PreparedVoice
from serve_app.voices.vad import LazySpeechDetector, SpeechSpan

TRIMMING_VERSION = 2  # raise it with any change of what a recording becomes here: cached voices are then encoded anew
REFERENCE_RATE_HZ = 22_050
MAX_REFERENCE_S = 30.0
LENGTH_STEP_S = 0.5  # of references: a CPU compiles, and keeps, kernels for every length that it meets
MIN_SPEECH_S = 3.0
MIN_STYLE_S = 1.0
SHORT_SPEECH_S = 6.0
ADVICE = "10 to 15 seconds of clear speech work best"
NOISY = "there is noise behind the speech, which the voice will have too; record it in a quiet room"

_EDGE_S = 0.3
_FADE_S = 0.005
_NEARLY_MOST = 0.9  # of the most speech: below that a cleaner window is not worth it
_FRAME_S = 0.02
_CLIPPED_LEVEL = 0.999
_CLIPPED_SHARE = 0.001
_NOISY_DB = 15.0  # by which speech should exceed what is behind it
_NEAR_S = 0.1  # speech fades away in it
_MIN_BACKGROUND_S = 0.3
_MAX_KERNEL_VALUES = 1_000_000


@dataclass(frozen=True)
class PreparedReference:
    """What the model hears of a recording, and what its owner should know."""

    samples: Samples  # [n] float32 mono, within ±1
    sample_rate_hz: int
    speech_s: float  # seconds of speech in `samples`
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Trimmed:
    """A recording without its silences, and where its speech now lies."""

    recording: Recording
    spans: tuple[SpeechSpan, ...]

    def speech_s(self, start_s: float, end_s: float) -> float:
        return sum(max(0.0, min(span.end_s, end_s) - max(span.start_s, start_s)) for span in self.spans)


class ReferenceTrimmer:
    """Prepares references; loads silero-vad with the first. Several threads may use one."""

    def __init__(self, max_reference_s: float = MAX_REFERENCE_S) -> None:
        assert max_reference_s >= MIN_SPEECH_S
        self._max_reference_s = max_reference_s
        self._detector = LazySpeechDetector()

    @property
    def version(self) -> str:
        """Changes with whatever could give the same recording another reference."""
        return f"{TRIMMING_VERSION}:{self._max_reference_s:g}"

    def prepare(self, recording: Recording, *, field: str) -> PreparedReference:
        """The reference in a recording. Raises ReferenceTooShort, naming `field`, under 3 s of speech."""
        spans = self._detector.spans(recording)
        speech_s = sum(span.duration_s for span in spans)
        if speech_s < MIN_SPEECH_S:
            message = (
                f"the recording holds {speech_s:.1f} s of speech in {recording.duration_s:.1f} s and "
                f"{MIN_SPEECH_S:.0f} s are needed; send a longer one: {ADVICE}"
            )
            raise ReferenceTooShort(message, field=field)
        trimmed = _trim(recording, spans)
        is_long = trimmed.recording.duration_s > self._max_reference_s
        chosen = _best_window(trimmed, self._max_reference_s) if is_long else _to_full_step(trimmed)
        speech_s = chosen.speech_s(0.0, math.inf)
        samples = resample_reference(chosen.recording)
        return PreparedReference(samples, REFERENCE_RATE_HZ, speech_s, self._warnings(chosen, speech_s, is_long))

    def join(self, recordings: Sequence[Recording], *, is_style: bool, field: str) -> PreparedVoice:
        """One reference from several recordings, each with an equal share of it, as far as it fills it.

        A style needs only one second of speech. Raises ReferenceTooShort, naming `field`, for less than that.
        """
        spans = [self._detector.spans(recording) for recording in recordings]
        found_s = sum(span.duration_s for each in spans for span in each)
        needed_s = MIN_STYLE_S if is_style else MIN_SPEECH_S
        if found_s < needed_s:
            message = f"the recordings hold {found_s:.1f} s of speech and {needed_s:.0f} s are needed; send longer ones"
            raise ReferenceTooShort(message if is_style else f"{message}: {ADVICE}", field=field)
        heard = [_trim(recording, found) for recording, found in zip(recordings, spans, strict=True) if found]
        is_long = sum(each.recording.duration_s for each in heard) > self._max_reference_s
        chosen = _shares(heard, self._max_reference_s)
        resampled = [_with_soft_ends(resample_reference(each.recording)) for each in chosen]
        samples = np.concatenate(resampled) if len(resampled) > 1 else resampled[0]
        step = round(LENGTH_STEP_S * REFERENCE_RATE_HZ)
        samples = samples[: max(step, len(samples) // step * step)]
        speech_s = min(sum(each.speech_s(0.0, math.inf) for each in chosen), len(samples) / REFERENCE_RATE_HZ)
        advice = [] if is_style else _advice(speech_s, [each.recording for each in chosen])
        if is_long:
            advice.append(self._is_longer)
        if any(_is_noisy(recording, found) for recording, found in zip(recordings, spans, strict=True)):
            advice.append(NOISY)
        return PreparedVoice(from_int16(to_int16(samples)), speech_s, tuple(advice))

    @property
    def _is_longer(self) -> str:
        return f"the reference is longer than needed, its best {self._max_reference_s:g} s were used"

    def _warnings(self, chosen: _Trimmed, speech_s: float, is_long: bool) -> tuple[str, ...]:
        advice = _advice(speech_s, [chosen.recording])
        if is_long:
            advice.append(self._is_longer)
        return tuple(advice)


def _advice(speech_s: float, chosen: Sequence[Recording]) -> list[str]:
    """On a reference of these parts."""
    advice = []
    if speech_s < SHORT_SPEECH_S:
        advice.append(f"the reference holds only {speech_s:.1f} s of speech, the voice may be unstable; {ADVICE}")
    num_clipped = sum(int(np.count_nonzero(np.abs(each.samples) >= _CLIPPED_LEVEL)) for each in chosen)
    clipped_share = num_clipped / sum(len(each.samples) for each in chosen)
    if clipped_share > _CLIPPED_SHARE:
        advice.append(f"the reference is clipped in {clipped_share:.1%} of its samples; record it at a lower level")
    return advice


def _is_noisy(recording: Recording, spans: Sequence[SpeechSpan]) -> bool:
    """Whether what lies between the speech is nearly as loud; unknown, so not, where hardly anything does."""
    rate_hz = recording.sample_rate_hz
    is_speech = np.zeros(len(recording.samples), dtype=bool)
    is_near = is_speech.copy()
    for span in spans:
        is_speech[round(span.start_s * rate_hz) : round(span.end_s * rate_hz)] = True
        is_near[max(0, round((span.start_s - _NEAR_S) * rate_hz)) : round((span.end_s + _NEAR_S) * rate_hz)] = True
    background = recording.samples[~is_near]
    if not spans or len(background) < _MIN_BACKGROUND_S * rate_hz:
        return False
    speech_power = float(np.mean(np.square(recording.samples[is_speech])))
    background_power = float(np.mean(np.square(background)))
    return background_power > speech_power / math.pow(10.0, _NOISY_DB / 10.0)


def _shares(heard: Sequence[_Trimmed], max_reference_s: float) -> list[_Trimmed]:
    """The best of each recording, so that all together are at most as long as a reference."""
    left_s, chosen = max_reference_s, dict[int, _Trimmed]()
    shortest_first = sorted(range(len(heard)), key=lambda index: heard[index].recording.duration_s)
    for number, index in enumerate(shortest_first):
        share_s = left_s / (len(heard) - number)
        each = heard[index]
        chosen[index] = _best_window(each, share_s) if each.recording.duration_s > share_s else each
        left_s -= chosen[index].recording.duration_s
    return [chosen[index] for index in range(len(heard))]


def _with_soft_ends(samples: Samples) -> Samples:
    """So that no joint clicks."""
    num_fade = min(round(_FADE_S * REFERENCE_RATE_HZ), len(samples) // 2)
    ramp = np.linspace(0.0, 1.0, num_fade, dtype=np.float32)
    faded = samples.copy()
    faded[:num_fade] *= ramp
    faded[len(samples) - num_fade :] *= ramp[::-1]
    return faded


def resample_reference(recording: Recording) -> Samples:
    """The whole recording at 22.05 kHz, clipped at full scale: TTS.tts.models.xtts.load_audio without its decoder.

    torchaudio's filter holds about rate × rate values for two rates without a common divisor, gigabytes for 44,101 Hz;
    such rates go through soxr.
    """
    rate_hz = recording.sample_rate_hz
    divisor = math.gcd(rate_hz, REFERENCE_RATE_HZ)
    if (rate_hz // divisor) * (REFERENCE_RATE_HZ // divisor) > _MAX_KERNEL_VALUES:
        resampled: Samples = soxr.resample(recording.samples, rate_hz, REFERENCE_RATE_HZ).astype(np.float32)
        return np.clip(resampled, -1.0, 1.0)
    writable = np.require(recording.samples, requirements="W")  # torch warns of others, such as Ray's shared arrays
    audio = torch.from_numpy(writable).unsqueeze(0)  # [1, n]
    if rate_hz != REFERENCE_RATE_HZ:
        audio = torchaudio.functional.resample(audio, rate_hz, REFERENCE_RATE_HZ)
    samples: Samples = audio.clip(-1, 1).squeeze(0).numpy()
    return samples


def _trim(recording: Recording, spans: list[SpeechSpan]) -> _Trimmed:
    """Cut away what lies further than 0.3 s from speech."""
    rate_hz, num_samples = recording.sample_rate_hz, len(recording.samples)
    kept: list[tuple[int, int]] = []
    moved: list[SpeechSpan] = []
    num_cut = 0
    for span in spans:
        start = max(0, round((span.start_s - _EDGE_S) * rate_hz))
        end = min(num_samples, round((span.end_s + _EDGE_S) * rate_hz))
        if kept and start <= kept[-1][1]:
            kept[-1] = (kept[-1][0], end)
        else:
            num_cut += start - (kept[-1][1] if kept else 0)
            kept.append((start, end))
        moved.append(SpeechSpan(span.start_s - num_cut / rate_hz, span.end_s - num_cut / rate_hz))
    return _Trimmed(Recording(_joined(recording.samples, kept, round(_FADE_S * rate_hz)), rate_hz), tuple(moved))


def _joined(samples: Samples, kept: list[tuple[int, int]], num_fade: int) -> Samples:
    """The kept stretches one after another, faded where they meet so that no joint clicks."""
    if len(kept) == 1:
        return samples[kept[0][0] : kept[0][1]]
    pieces = [samples[start:end].copy() for start, end in kept]
    ramp = np.linspace(0.0, 1.0, num_fade, dtype=np.float32)
    for before, after in itertools.pairwise(pieces):
        before[-num_fade:] *= ramp[::-1]
        after[:num_fade] *= ramp
    return np.concatenate(pieces)


def _to_full_step(trimmed: _Trimmed) -> _Trimmed:
    """Without what exceeds a multiple of half a second."""
    samples, rate_hz = trimmed.recording.samples, trimmed.recording.sample_rate_hz
    end_s = LENGTH_STEP_S * math.floor(len(samples) / rate_hz / LENGTH_STEP_S)
    spans = tuple(SpeechSpan(span.start_s, min(span.end_s, end_s)) for span in trimmed.spans if span.start_s < end_s)
    return _Trimmed(Recording(samples[: round(end_s * rate_hz)], rate_hz), spans)


def _best_window(trimmed: _Trimmed, window_s: float) -> _Trimmed:
    """The best `window_s` seconds, starting where speech starts (or every second of a very long stretch)."""
    recording = trimmed.recording
    last_start_s = recording.duration_s - window_s
    starts_s = {0.0, last_start_s}
    for span in trimmed.spans:
        first_s = max(0.0, span.start_s - _EDGE_S)
        num_steps = int(max(0.0, span.duration_s - window_s)) + 1
        starts_s.update(start_s for step in range(num_steps) if (start_s := first_s + step) <= last_start_s)
    levels, clipped = _frame_levels(recording)

    def badness(start_s: float) -> tuple[float, float, float, float]:
        frames = slice(int(start_s / _FRAME_S), int((start_s + window_s) / _FRAME_S))
        background_db = float(np.percentile(levels[frames], 10))
        return round(float(clipped[frames].mean()), 4), round(background_db), -speech_s[start_s], start_s

    speech_s = {start_s: trimmed.speech_s(start_s, start_s + window_s) for start_s in starts_s}
    enough_s = _NEARLY_MOST * max(speech_s.values())
    start_s = min((start_s for start_s in starts_s if speech_s[start_s] >= enough_s), key=badness)
    start = round(start_s * recording.sample_rate_hz)
    samples = recording.samples[start : start + round(window_s * recording.sample_rate_hz)]
    spans = tuple(
        SpeechSpan(max(0.0, span.start_s - start_s), min(window_s, span.end_s - start_s))
        for span in trimmed.spans
        if span.end_s > start_s and span.start_s < start_s + window_s
    )
    return _Trimmed(Recording(samples, recording.sample_rate_hz), spans)


def _frame_levels(recording: Recording) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Level in dB and share of clipped samples, per frame of 20 ms: [num_frames] each."""
    num_frame = int(_FRAME_S * recording.sample_rate_hz)
    num_frames = len(recording.samples) // num_frame
    frames = recording.samples[: num_frames * num_frame].reshape(num_frames, num_frame)
    power = np.mean(np.square(frames), axis=1)
    return 10.0 * np.log10(np.maximum(power, 1e-12)), np.mean(np.abs(frames) >= _CLIPPED_LEVEL, axis=1)
