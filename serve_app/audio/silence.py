"""Long silences cut short, while the samples come. The same samples are kept however they are cut into chunks."""

import numpy as np

from serve_app.audio.pcm import Samples

FRAME_S = 0.01
THRESHOLD = 0.003  # of a frame's root mean square: -50 dB of full scale
MAX_SILENCE_S = 0.7  # kept of each; natural speech has shorter ones (tests/end_to_end/test_hearing.py)
ONSET_S = 0.05  # kept before speech goes on, because it may begin softly


class SilenceLimiter:
    """For the samples of one sentence."""

    def __init__(self, sample_rate_hz: int, max_silence_s: float = MAX_SILENCE_S) -> None:
        self._frame = round(FRAME_S * sample_rate_hz)
        self._max_frames = round((max_silence_s - ONSET_S) / FRAME_S)
        self._num_onset_frames = round(ONSET_S / FRAME_S)
        self._rest: Samples = np.zeros(0, np.float32)  # less than a frame
        self._onset: list[Samples] = []  # the last silent frames that were held back
        self._num_silent = 0  # frames in a row
        self.num_cut = 0  # samples left out so far

    def feed(self, samples: Samples) -> Samples:
        """What is kept of the next samples [n], and of those held back."""
        samples = np.concatenate([self._rest, samples])
        num_frames = len(samples) // self._frame
        whole, self._rest = samples[: num_frames * self._frame], samples[num_frames * self._frame :]
        if not num_frames:
            return whole
        frames = whole.reshape(num_frames, self._frame)
        is_silent = np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=1)) < THRESHOLD
        if not is_silent.any() and not self._onset:
            self._num_silent = 0
            return whole
        kept: list[Samples] = []
        for frame, silent in zip(frames, is_silent, strict=True):
            kept += self._next(frame, is_silent=bool(silent))
        return np.concatenate(kept) if kept else np.zeros(0, np.float32)

    def finish(self) -> Samples:
        """The last samples."""
        self.num_cut += sum(len(frame) for frame in self._onset)
        self._onset.clear()
        return self._rest

    def _next(self, frame: Samples, *, is_silent: bool) -> list[Samples]:
        if not is_silent:
            onset, self._onset, self._num_silent = self._onset, [], 0
            return [*onset, frame]
        self._num_silent += 1
        if self._num_silent <= self._max_frames:
            return [frame]
        self._onset.append(frame)
        if len(self._onset) > self._num_onset_frames:
            self.num_cut += len(self._onset.pop(0))
        return []
