"""Latents to audio, in windows of frames batched over sequences. Knows the vocoder and frames, not slots or queues.

A window is cut from frames on whole-sequence coordinates and carries the vocoder's receptive field either side, so
its samples are those of the whole and a stream needs no crossfade. A window never reaches past a true end: it is
shifted inward instead, because zeros in place of an end change its samples.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from serve_app.engine.config import EngineConfig
from serve_app.engine.memory import PassSize
from serve_app.engine.sequence import Prompt
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.model.frames import FrameGrid
from serve_app.model.vocoder import Vocoder

# A window of a width not met before costs oneDNN 0.1 s of compiling (measured), and windows of one width make a batch.
WIDTH_STEP = 16
MIN_WINDOW_FRAMES = 64  # context either side and a little between


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

    def __init__(self, vocoder: Vocoder, prompt: Prompt, *, due_s: float, keeps_chunks: bool) -> None:
        chunk_codes = prompt.chunk_codes
        self.speaker = prompt.voice.speaker_embedding  # [speaker width], on the CPU
        self.grid = FrameGrid(vocoder.config, prompt.speed)
        self.due_s = due_s  # when its first audio is wanted
        self.latents: Tensor | None = None  # [num codes, width]
        self.num_out = 0  # frames handed over
        self.first_out_s: float | None = None
        self.is_complete = False  # all latents are there
        self.is_due = False  # a window can be made and is wanted
        self.num_memory_failures = 0  # times in a row its smallest window found no memory
        self._keeps_chunks = keeps_chunks
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

        Widths are multiples of `WIDTH_STEP` wherever there is room: by more context to the left, which does no harm;
        at a sequence's start by leaving a rest to the next window.
        """
        assert self.is_due
        ready, context, first = self._num_ready, self._context, self.num_out
        end = ready if self._is_at_end else ready + context
        start = max(0, first - context)
        stop = min(end, start + max_frames)
        width = -(-(stop - start) // WIDTH_STEP) * WIDTH_STEP
        if width <= stop:
            start = stop - width
        elif (shorter := stop - stop % WIDTH_STEP) - context - first >= WIDTH_STEP:
            stop = shorter
        return Window(self, start, stop, first, ready if stop == end else stop - context)

    def hand_over(self, window: Window) -> None:
        """The window's samples have left."""
        self.num_out, self.num_memory_failures = window.last, 0
        if self._targets and self._num_left < WIDTH_STEP:
            self._targets.popleft()  # its rest goes with the next
        self._drop_met_targets()


class Renderer:
    """Turns due frames into samples, a bounded number of frames a call."""

    def __init__(
        self, vocoder: Vocoder, config: EngineConfig, device: torch.device, recorder: Metrics = NOT_RECORDED
    ) -> None:
        self._vocoder, self._config, self._device = vocoder, config, device
        batch = 1 if config.is_deterministic else config.max_window_batch
        self._batch = PassSize("render", batch, recorder=recorder)
        self._frames = PassSize("window", config.max_window_frames, least=MIN_WINDOW_FRAMES, recorder=recorder)

    def open(self, prompt: Prompt, due_s: float = 0.0) -> AudioStream:
        """For a prompt's voice, speed and chunks. Called on an event loop: touches no device."""
        return AudioStream(self._vocoder, prompt, due_s=due_s, keeps_chunks=self._config.is_deterministic)

    @torch.inference_mode()
    def warm_up(self) -> None:
        """Makes a window of every usual width, so that no listener waits for its first."""
        config = self._vocoder.config
        speaker = torch.zeros(1, config.speaker_width, device=self._device)
        for width in range(WIDTH_STEP, self._config.max_window_frames + 1, WIDTH_STEP):
            self._vocoder(torch.zeros(1, config.input_width, width, device=self._device), speaker)

    @torch.inference_mode()
    def render(self, streams: Iterable[AudioStream]) -> list[tuple[AudioStream, npt.NDArray[np.float32]]]:
        """Samples [n] of the windows wanted first: a stream's beginning when it is due, its rest when that runs dry."""
        due = sorted((stream for stream in streams if stream.is_due), key=self._wanted_s)
        windows: list[Window] = []
        budget = self._config.max_render_frames
        for stream in due:
            window = stream.next_window(self._frames.limit)
            if windows and window.num_frames > budget:
                break
            budget -= window.num_frames
            windows.append(window)
        return self._vocode(windows)

    def _wanted_s(self, stream: AudioStream) -> float:
        if stream.first_out_s is None:
            return stream.due_s
        config = self._vocoder.config
        played_s = stream.num_out * config.hop_length / config.output_sample_rate_hz
        return max(stream.first_out_s, stream.due_s) + played_s

    def _vocode(self, windows: list[Window]) -> list[tuple[AudioStream, npt.NDArray[np.float32]]]:
        """Windows of one width in one pass. Where memory runs out, the rest stays due."""
        by_width: dict[int, list[Window]] = {}
        for window in windows:
            by_width.setdefault(window.num_frames, []).append(window)
        out = []
        for group in by_width.values():
            done, left = self._batch.run(tuple(group), self._forward)
            for part, samples in done:
                out += [(window.stream, self._cut(window, row)) for window, row in zip(part, samples, strict=True)]
            if left:
                self._make_smaller(left[0])
                break
        return out

    def _forward(self, windows: tuple[Window, ...]) -> npt.NDArray[np.float32]:
        frames = torch.stack([_frames(window) for window in windows]).transpose(1, 2)  # [batch, width, frames]
        speakers = torch.stack([window.stream.speaker for window in windows]).to(self._device)
        samples: npt.NDArray[np.float32] = self._vocoder(frames, speakers).cpu().numpy()
        return samples

    def _cut(self, window: Window, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        hop = self._vocoder.samples_per_frame
        window.stream.hand_over(window)
        cut = samples[(window.first - window.start) * hop : (window.last - window.start) * hop]
        return cut.copy()  # a view would keep the whole batch alive

    def _make_smaller(self, window: Window) -> None:
        """There is no memory for one window alone: shorter ones, until there are none."""
        if window.num_frames > MIN_WINDOW_FRAMES:
            self._frames.shrink(window.num_frames)
        else:
            window.stream.num_memory_failures += 1


def _frames(window: Window) -> Tensor:
    latents = window.stream.latents
    assert latents is not None
    return window.stream.grid.frames(latents, window.start, window.stop)
