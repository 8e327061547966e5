"""Windows of one width through the vocoder, begun at once and over later. Knows windows, not what is due.

As a GPU wants it: fixed shapes over memory that stays where it is, replayed as graphs on a stream of their own, so that
decode steps go on beside them. What has no fixed shape, and everything on a CPU, is computed as it comes.
"""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any
from weakref import ref

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from serve_app.engine.audio_stream import Window
from serve_app.engine.buckets import fitting, powers
from serve_app.engine.config import EngineConfig
from serve_app.engine.cuda_graphs import calls_on
from serve_app.model.config import CODE_STRIDE
from serve_app.model.device import stream_of, to_device
from serve_app.model.frames import MAX_SPEED, NUM_TAPS, Taps, tapped
from serve_app.model.vocoder import Vocoder


class Rendering:
    """Windows in one pass, and their samples on the way to the host."""

    def __init__(self, windows: tuple[Window, ...], samples: Tensor, event: Any = None) -> None:
        """`samples` [windows or more, frames × hop length]: on the host once the event, if there is one, has come."""
        self.windows = windows
        self._samples, self._event = samples, event

    @property
    def is_over(self) -> bool:
        return self._event is None or bool(self._event.query())

    def samples(self) -> npt.NDArray[np.float32]:
        """[windows, frames × hop length], of a narrow window more than its own; waits until it is over."""
        if self._event is not None:
            self._event.synchronize()
        samples: npt.NDArray[np.float32] = self._samples[: len(self.windows)].numpy()
        return samples

    def settle(self) -> None:
        """Leaves the memory in which its samples were made to another pass; waits until it is over."""
        self._samples, self._event = torch.from_numpy(self.samples().copy()), None


class Table:
    """Where the inputs and outputs of all passes of one width are, for `batch` windows at most."""

    def __init__(self, vocoder: Vocoder, width: int, batch: int, device: torch.device) -> None:
        config, is_gpu = vocoder.config, device.type == "cuda"
        codes_per_frame = config.hop_length / CODE_STRIDE * config.input_sample_rate_hz / config.output_sample_rate_hz
        self.num_rows = ceil(width * MAX_SPEED * codes_per_frame) + NUM_TAPS + 2  # latents of a window at most
        self.width, self.batch = width, batch
        self.rendering: Callable[[], Rendering | None] = lambda: None  # whose samples are here, while anyone wants them
        self.latents = torch.zeros(batch * self.num_rows, config.input_width, device=device)

        def pair(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
            """On the host and on the device."""
            return torch.zeros(shape, dtype=dtype, pin_memory=is_gpu), torch.zeros(shape, dtype=dtype, device=device)

        self.host_index, self.index = pair((batch, width, NUM_TAPS), torch.int64)
        self.host_weights, self.weights = pair((batch, width, NUM_TAPS))
        self.host_speakers, self.speakers = pair((batch, config.speaker_width))
        self.host_samples, self.samples = pair((batch, width * vocoder.samples_per_frame))

    def fill(self, windows: Sequence[Window]) -> None:
        """Reads the windows' latents as they are now, in the order of the current stream."""
        rendering = self.rendering()
        if rendering is not None:
            rendering.settle()
        num = len(windows)
        index, weights = self.host_index.numpy(), self.host_weights.numpy()
        rows, latents = [], []
        for row, window in enumerate(windows):
            part, taps = _latents_and_taps(window)
            start, num_frames = row * self.num_rows, window.num_frames
            index[row, :num_frames], weights[row, :num_frames] = start + taps.index(part.shape[0]), taps.weights
            index[row, num_frames:], weights[row, num_frames:] = start, 0.0
            rows.append(self.latents[start : start + part.shape[0]])
            latents.append(part)
            self.host_speakers[row].copy_(window.stream.speaker)
        torch._foreach_copy_(rows, latents)
        for host, there in (
            (self.host_index, self.index),
            (self.host_weights, self.weights),
            (self.host_speakers, self.speakers),
        ):
            there[:num].copy_(host[:num], non_blocking=True)


class VocoderPass:
    """Begins passes; those of one width wait for one another."""

    def __init__(
        self, vocoder: Vocoder, config: EngineConfig, device: torch.device, *, has_fixed_passes: bool | None = None
    ) -> None:
        """`has_fixed_passes`: over tables, as graphs must; None: where there is a GPU."""
        self._vocoder, self._device, self._config = vocoder, device, config
        is_gpu = device.type == "cuda"
        is_fixed = is_gpu if has_fixed_passes is None else has_fixed_passes
        self._stream = stream_of(device, "vocoder") if is_gpu else None
        self._calls = calls_on(device, config)
        widths = config.widths if is_fixed else ()
        self._tables = {width: Table(vocoder, width, self._batches(width)[-1], device) for width in widths}

    def _batches(self, width: int) -> tuple[int, ...]:
        """Numbers of windows of a pass, ascending."""
        config = self._config
        return powers(max(1, min(config.windows_at_once, config.max_render_frames // width)))

    @torch.inference_mode()
    def warm_up(self) -> None:
        """Makes a window of every usual width, or captures them all, so that no listener waits for its first."""
        if self._config.uses_cuda_graphs and self._stream is not None:
            for table in sorted(self._tables.values(), key=lambda each: -each.batch * each.width):
                for batch in reversed(self._batches(table.width)):
                    self._calls.capture(self._vocode, table.width, batch)
            return
        config = self._vocoder.config
        speaker = torch.zeros(1, config.speaker_width, device=self._device)
        for width in self._config.widths:
            self._vocoder(torch.zeros(1, config.input_width, width, device=self._device), speaker)

    def most_windows(self, width: int) -> int | None:
        """To be begun at a time; None: any number. More would wait for the first ones, in whose place they are made."""
        table = self._tables.get(width)
        return None if table is None else table.batch

    def width_of(self, window: Window) -> int:
        """Of the pass that the window goes into: its own, or wider where that is a table's.

        A window's context on the right is there to be dropped, so what stands behind it does no harm; a true end must
        not be padded.
        """
        num_frames = window.num_frames
        if window.last == window.stop:
            return num_frames
        return next((width for width in self._tables if width >= num_frames), num_frames)

    @torch.inference_mode()
    def begin(self, windows: tuple[Window, ...]) -> Rendering:
        """Windows whose passes have one width. Reads their latents as they are now."""
        table = self._tables.get(self.width_of(windows[0]))
        if table is None:
            return self._begin_as_it_comes(windows)
        batch = fitting(self._batches(table.width), len(windows))
        table.fill(windows)
        if self._stream is None:
            self._vocode(table.width, batch)
            rendering = Rendering(windows, table.samples)
        else:
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(self._stream):
                self._calls.run(self._vocode, table.width, batch)
                table.host_samples[: len(windows)].copy_(table.samples[: len(windows)], non_blocking=True)
                rendering = Rendering(windows, table.host_samples, self._stream.record_event())
        table.rendering = ref(rendering)
        return rendering

    def _vocode(self, width: int, batch: int) -> None:
        """From a table's inputs to its samples."""
        table = self._tables[width]
        index, weights = table.index[:batch].flatten(0, 1), table.weights[:batch].flatten(0, 1)
        frames = tapped(table.latents, index, weights).view(batch, width, -1).transpose(1, 2)
        table.samples[:batch].copy_(self._vocoder(frames, table.speakers[:batch]))

    def _begin_as_it_comes(self, windows: tuple[Window, ...]) -> Rendering:
        parts = [_latents_and_taps(window) for window in windows]
        starts = np.cumsum([0, *(latents.shape[0] for latents, _ in parts)])
        index = [start + taps.index(latents.shape[0]) for start, (latents, taps) in zip(starts, parts, strict=False)]
        frames = tapped(
            torch.cat([latents for latents, _ in parts]),
            to_device(torch.from_numpy(np.concatenate(index)), self._device),
            to_device(torch.from_numpy(np.concatenate([taps.weights for _, taps in parts])), self._device),
        )
        speakers = to_device(torch.stack([window.stream.speaker for window in windows]), self._device)
        samples = self._vocoder(frames.view(len(windows), -1, frames.shape[1]).transpose(1, 2), speakers)
        if self._stream is None:
            return Rendering(windows, samples)
        host = torch.empty(samples.shape, pin_memory=True)
        host.copy_(samples, non_blocking=True)
        return Rendering(windows, host, torch.cuda.current_stream(self._device).record_event())


def _latents_and_taps(window: Window) -> tuple[Tensor, Taps]:
    """The latents that a window is made of [n, width], and its frames' taps counted from the first of them."""
    latents = window.stream.latents
    assert latents is not None
    taps = window.stream.grid.taps(latents.shape[0], window.start, window.stop)
    low, high = int(taps.first[0]), min(int(taps.first[-1]) + NUM_TAPS, latents.shape[0])
    return latents[low:high], Taps(taps.first - low, taps.weights)
