"""The audio of one sequence: which frames are due, and in which windows they are made. Computes nothing.

A window is cut from frames on whole-sequence coordinates and carries the vocoder's receptive field either side, so
its samples are those of the whole and a stream needs no crossfade. A window never reaches past a true end: it is
shifted inward instead, because zeros in place of an end change its samples.
"""

from collections import deque
from dataclasses import dataclass

from torch import Tensor

from serve_app.engine.config import WIDTH_STEP, EngineConfig
from serve_app.engine.sequence import Prompt
from serve_app.model.frames import grid_of
from serve_app.model.vocoder import Vocoder


@dataclass(frozen=True)
class Window:
    """Frames `start` … `stop` go in; samples of frames `first` … `last` come out."""

    stream: "AudioStream"
    start: int
    stop: int
    first: int
    last: int

    @property
    def num_frames(self) -> int:
        return self.stop - self.start


class AudioStream:
    """The audio of one sequence: how much is out, how much may come now.

    Where windows end moves their last bits. A stream that has fallen behind goes on to the newest latents at once, or,
    when it `keeps_chunks`, chunk by chunk as it would have done in time.
    """

    def __init__(self, vocoder: Vocoder, prompt: Prompt, config: EngineConfig, *, due_s: float) -> None:
        chunk_codes = prompt.chunk_codes
        self.speaker = prompt.voice.speaker_embedding  # [speaker width], on the CPU
        self.grid = grid_of(vocoder.config, prompt.speed)
        self.due_s = due_s  # when its first audio is wanted
        self.latents: Tensor | None = None  # [num codes, width]
        self.num_out = 0  # frames handed over
        self.first_out_s: float | None = None
        self.is_complete = False  # all latents are there
        self.is_due = False  # a window can be made and is wanted
        self.num_memory_failures = 0  # times in a row its smallest window found no memory
        self._keeps_chunks, self._widths = config.is_deterministic, config.widths
        self._targets: deque[int] = deque()  # numbers of codes whose audio is due; after them comes the end
        self._context = vocoder.context_frames
        self._chunk_codes = chunk_codes
        self._chunk_index = 0
        self._next_codes = chunk_codes[0] if chunk_codes else 0

    @property
    def is_drained(self) -> bool:
        return self.is_complete and not self.is_due

    def complete(self, latents: Tensor) -> None:
        """No more latents will come."""
        self.latents, self.is_complete = latents, True
        self._aim(None)

    def is_chunk_due(self, num_codes: int) -> bool:
        """Whether the stream's schedule wants audio at this number of codes."""
        return bool(self._chunk_codes) and num_codes >= self._next_codes

    def grow(self, latents: Tensor) -> None:
        """Latents so far, at a point where a chunk is due."""
        self.latents = latents
        self._chunk_index = min(self._chunk_index + 1, len(self._chunk_codes) - 1)
        self._next_codes = latents.shape[0] + self._chunk_codes[self._chunk_index]
        self._aim(latents.shape[0])

    def _aim(self, target: int | None) -> None:
        """Wants audio up to `target` codes, None for all there are."""
        if not self._keeps_chunks:
            self._targets.clear()
        if target is not None:
            self._targets.append(target)
        self._drop_met_targets()

    def _drop_met_targets(self) -> None:
        while self._targets and self._num_left <= 0:
            self._targets.popleft()
        self.is_due = bool(self._targets) or (self.is_complete and self._num_left > 0)

    @property
    def _is_at_end(self) -> bool:
        return self.is_complete and not self._targets

    @property
    def _num_ready(self) -> int:
        """Frames up to the target in hand whose samples are final."""
        if self._is_at_end:
            assert self.latents is not None
            return self.grid.num_frames(self.latents.shape[0])
        return self.grid.num_settled(self._targets[0]) - self._context

    @property
    def _num_left(self) -> int:
        return self._num_ready - self.num_out

    def next_window(self, max_frames: int) -> Window:
        """The earliest frames due, with context, `max_frames` in all at most.

        Widths are the configured ones wherever there is room: by more context to the left, which does no harm; at a
        sequence's start by leaving a rest to the next window.
        """
        assert self.is_due
        ready, context, first, widths = self._num_ready, self._context, self.num_out, self._widths
        end = ready if self._is_at_end else ready + context
        start = max(0, first - context)
        stop = min(end, start + max_frames)
        width = next((width for width in widths if width >= stop - start), stop - start)
        if width <= stop:
            start = stop - width
        elif (shorter := max((width for width in widths if width <= stop), default=0)) - context - first >= WIDTH_STEP:
            start, stop = 0, shorter
        return Window(self, start, stop, first, ready if stop == end else stop - context)

    def hand_over(self, window: Window) -> None:
        """The window's samples have left."""
        self.num_out, self.num_memory_failures = window.last, 0
        if self._targets and self._num_left < WIDTH_STEP:
            self._targets.popleft()  # its rest goes with the next
        self._drop_met_targets()
