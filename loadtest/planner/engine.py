"""Continuous batching as `serve_app.engine` does it: admit, read prefixes, one code for each that runs, make audio.

Steps in which nothing but decoding happens are taken in one leap to the next that matters, and the leap is cut where a
newcomer finds a free slot. So an event costs the same, whether a step takes a millisecond or a second.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from math import ceil

from loadtest.planner.events import Events
from loadtest.planner.profile import FRAME_S, Profile, StepTimes
from loadtest.planner.request import Sentence

OnAudio = Callable[[Sentence, float, bool], None]  # seconds of audio of a sentence; whether they are its last


class EngineModel:
    """One replica's engine. Its queue is not bounded: what may enter is the router's to say."""

    def __init__(self, profile: Profile, times: StepTimes, events: Events, on_audio: OnAudio) -> None:
        self._profile, self._times, self._events, self._on_audio = profile, times, events, on_audio
        self._waiting: list[tuple[float, int, Sentence]] = []  # a heap, the one wanted first in front
        self._marks: list[tuple[int, int, Sentence]] = []  # a heap of the steps at which a chunk is due or codes end
        self._due: list[Sentence] = []  # audio can be made
        self._made: list[tuple[Sentence, float, bool]] = []  # in this step, not yet handed over
        self._num_added = 0
        self._num_running = 0
        self._rows_at_step_0 = 0  # of all that run, reckoned back: rows in the cache without the steps since
        self._step = 0
        self._voices_s = 0.0  # of encoding that the next step waits for
        self._is_busy = False
        self._version = 0  # of the end of steps that counts; others were called off
        self._num_steps = 1
        self._step_s = 0.0
        self._started_s = 0.0
        self.busy_s = 0.0

    @property
    def num_wanted_slots(self) -> int:
        return self._num_running + len(self._waiting)

    @property
    def num_running(self) -> int:
        return self._num_running

    def oldest_wait_s(self) -> float:
        return max(0.0, self._events.now_s - self._waiting[0][0]) if self._waiting else 0.0

    def submit(self, sentence: Sentence) -> None:
        self._num_added += 1
        heappush(self._waiting, (sentence.due_s, self._num_added, sentence))
        self._wake()

    def stall(self, seconds: float) -> None:
        """Encodes a voice before the next step."""
        self._voices_s += seconds
        self._wake()

    def stop(self) -> None:
        """The process is gone, with all that it did."""
        self._version += 1
        self._waiting, self._marks, self._due, self._made = [], [], [], []
        self._num_running = 0

    def _wake(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            self._events.at(self._events.now_s, self._begin, self._version)
        elif self._num_steps > 1 and (self._voices_s or self._num_running < self._profile.slots):
            self._cut_leap()

    def _cut_leap(self) -> None:
        """The step under way is the last of the leap."""
        num_steps = max(1, ceil((self._events.now_s - self._started_s) / self._step_s))
        if num_steps < self._num_steps:
            self._num_steps = num_steps
            self._version += 1
            self._events.at(self._started_s + num_steps * self._step_s, self._end, self._version)

    def _begin(self, version: int) -> None:
        """Hands over what the step before made, and starts the next."""
        if version != self._version:
            return
        if self._made:
            made, self._made = self._made, []
            for sentence, audio_s, is_last in made:
                self._on_audio(sentence, audio_s, is_last)
        batch, seconds = self._num_running, self._voices_s
        self._voices_s = 0.0
        num_rows = self._admit()
        if num_rows:
            seconds += self._times.prefill_s(num_rows)
        self._num_steps, self._step_s = 1 if batch or num_rows else 0, 0.0
        if batch:
            seconds += self._decode_s(batch, can_leap=not (num_rows or self._due or seconds))
        elif not (num_rows or self._due or seconds):
            self._is_busy = False
            return
        self._started_s = self._events.now_s
        self._events.at(self._started_s + seconds, self._end, self._version)

    def _admit(self) -> int:
        """Newcomers into free slots, as many as one pass reads. Returns the rows of their prefixes."""
        profile, num_rows, step = self._profile, 0, self._step
        while self._waiting and self._num_running < profile.slots:
            sentence = self._waiting[0][2]
            if num_rows and num_rows + sentence.prefix_rows > profile.max_prefill_rows:
                break
            _, order, _ = heappop(self._waiting)
            num_rows += sentence.prefix_rows
            sentence.admitted_step = step
            self._num_running += 1
            self._rows_at_step_0 += sentence.prefix_rows - step
            heappush(self._marks, (step + min(sentence.next_codes, sentence.num_codes), order, sentence))
        return num_rows

    def _decode_s(self, batch: int, *, can_leap: bool) -> float:
        if can_leap:
            self._num_steps = self._marks[0][0] - self._step
        mean_cached = self._rows_at_step_0 / batch + self._step + self._num_steps / 2.0
        self._step_s = self._times.decode_s(batch, mean_cached)
        return self._num_steps * self._step_s

    def _end(self, version: int) -> None:
        """The codes of the step are there; its audio is made now."""
        if version != self._version:
            return
        self._step += self._num_steps
        marks, step = self._marks, self._step
        while marks and marks[0][0] <= step:
            _, order, sentence = heappop(marks)
            num_codes = step - sentence.admitted_step
            if num_codes >= sentence.num_codes:
                sentence.complete()
                self._num_running -= 1
                self._rows_at_step_0 -= sentence.prefix_rows - sentence.admitted_step
            else:
                sentence.grow(num_codes)
                heappush(marks, (step + min(sentence.next_codes, sentence.num_codes) - num_codes, order, sentence))
            if not sentence.is_due and sentence.num_ready > sentence.num_out:
                sentence.is_due = True
                self._due.append(sentence)
        render_s = self._render() if self._due else 0.0
        now_s = self._events.now_s
        self.busy_s += now_s + render_s - self._started_s
        if render_s:
            self._num_steps = 1
            self._events.at(now_s + render_s, self._begin, self._version)
        else:
            self._begin(self._version)

    def _render(self) -> float:
        """Makes what is due, most urgent first, up to a bound. Returns the seconds it takes."""
        profile = self._profile
        budget = profile.max_render_frames
        by_width: dict[int, int] = {}
        if len(self._due) > 1:
            self._due.sort(key=_wanted_s)
        for index, sentence in enumerate(self._due):
            width, last = sentence.next_window(profile.max_window_frames)
            if index and width > budget:
                break
            budget -= width
            by_width[width] = by_width.get(width, 0) + 1
            audio_s = (last - sentence.num_out) * FRAME_S
            sentence.hand_over(last)
            self._made.append((sentence, audio_s, sentence.is_complete and not sentence.is_due))
        self._due = [sentence for sentence in self._due if sentence.is_due]
        return sum(self._passes_s(width, number) for width, number in by_width.items())

    def _passes_s(self, width: int, number: int) -> float:
        """`number` windows of one width, in passes of so many at most."""
        full, rest = divmod(number, self._profile.max_window_batch)
        seconds = full * self._times.vocoder_s(width * self._profile.max_window_batch)
        return seconds + self._times.vocoder_s(width * rest) if rest else seconds


def _wanted_s(sentence: Sentence) -> float:
    return sentence.wanted_s
