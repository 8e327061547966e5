"""Latents to audio: chooses the windows wanted first and hands their samples over. Knows streams, not slots."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from serve_app.engine.audio_stream import AudioStream, Window
from serve_app.engine.config import MIN_WINDOW_FRAMES, EngineConfig
from serve_app.engine.memory import PassSize
from serve_app.engine.sequence import Prompt
from serve_app.engine.vocoder_pass import Rendering, VocoderPass
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.model.vocoder import Vocoder


@dataclass(frozen=True)
class Audio:
    """The next samples [n] of a stream."""

    stream: AudioStream
    samples: npt.NDArray[np.float32]
    is_last: bool


class Renderer:
    """Turns due frames into samples, a bounded number of frames at a time; on a GPU beside what else is computed."""

    def __init__(
        self,
        vocoder: Vocoder,
        config: EngineConfig,
        device: torch.device,
        recorder: Metrics = NOT_RECORDED,
        *,
        has_fixed_passes: bool | None = None,
    ) -> None:
        self._vocoder, self._config = vocoder, config
        self._batch = PassSize("render", config.windows_at_once, recorder=recorder)
        self._frames = PassSize("window", config.max_window_frames, least=MIN_WINDOW_FRAMES, recorder=recorder)
        self._pass = VocoderPass(vocoder, config, device, has_fixed_passes=has_fixed_passes)
        self._begun: deque[Rendering] = deque()

    def open(self, prompt: Prompt, due_s: float = 0.0) -> AudioStream:
        """For a prompt's voice, speed and chunks. Called on an event loop: touches no device."""
        return AudioStream(self._vocoder, prompt, self._config, due_s=due_s)

    def warm_up(self) -> None:
        """Sets up every usual shape, so that no listener waits for its first."""
        self._pass.warm_up()

    @property
    def is_busy(self) -> bool:
        """Whether windows were begun that are not handed over."""
        return bool(self._begun)

    @torch.inference_mode()
    def render(self, streams: Iterable[AudioStream]) -> list[Audio]:
        """Hands over what is made, and begins the windows wanted first once nothing else is being made.

        Waits for nothing. Windows of streams that were given up since they were begun are handed over too.
        """
        handed = self._hand_over()
        if not self._begun:
            self._begin(streams)
            handed += self._hand_over()
        return handed

    def finish(self) -> None:
        """Waits for what is being made, so that its memory may go."""
        while self._begun:
            self._begun.popleft().samples()

    def _begin(self, streams: Iterable[AudioStream]) -> None:
        """A stream's beginning is wanted when it is due, its rest when that runs dry."""
        due = sorted((stream for stream in streams if stream.is_due), key=self._wanted_s)
        windows: list[Window] = []
        budget = self._config.max_render_frames
        for stream in due:
            window = stream.next_window(self._frames.limit)
            if windows and window.num_frames > budget:
                break
            budget -= window.num_frames
            windows.append(window)
        self._begin_passes(windows)

    def _wanted_s(self, stream: AudioStream) -> float:
        if stream.first_out_s is None:
            return stream.due_s
        config = self._vocoder.config
        played_s = stream.num_out * config.hop_length / config.output_sample_rate_hz
        return max(stream.first_out_s, stream.due_s) + played_s

    def _begin_passes(self, windows: list[Window]) -> None:
        """Windows of one width in one pass. Where memory runs out, the rest stays due."""
        by_width: dict[int, list[Window]] = {}
        for window in windows:
            by_width.setdefault(self._pass.width_of(window), []).append(window)
        for width, group in by_width.items():
            done, left = self._batch.run(tuple(group[: self._pass.most_windows(width)]), self._pass.begin)
            self._begun.extend(rendering for _, rendering in done)
            if left:
                self._make_smaller(left[0])
                break

    def _hand_over(self) -> list[Audio]:
        handed: list[Audio] = []
        while self._begun and self._begun[0].is_over:
            rendering = self._begun.popleft()
            pairs = zip(rendering.windows, rendering.samples(), strict=True)
            handed += [self._cut(window, samples) for window, samples in pairs]
        return handed

    def _cut(self, window: Window, samples: npt.NDArray[np.float32]) -> Audio:
        hop, stream = self._vocoder.samples_per_frame, window.stream
        stream.hand_over(window)
        cut = samples[(window.first - window.start) * hop : (window.last - window.start) * hop]
        return Audio(stream, cut.copy(), stream.is_drained)  # a view would keep the whole batch alive

    def _make_smaller(self, window: Window) -> None:
        """There is no memory for one window alone: shorter ones, until there are none."""
        if window.num_frames > MIN_WINDOW_FRAMES:
            self._frames.shrink(window.num_frames)
        else:
            window.stream.num_memory_failures += 1
