"""The engine's own settings, frozen. Knows no environment."""

from dataclasses import dataclass
from functools import cached_property

# A window of a width not met before costs oneDNN 0.1 s of compiling (measured), and windows of one width make a batch.
WIDTH_STEP = 16
MIN_WINDOW_FRAMES = 64  # context either side and a little between


@dataclass(frozen=True)
class EngineConfig:
    """Bounds of one engine. Rows, codes and frames are counts; see PRODUCT.md's vocabulary in the docs."""

    max_slots: int = 16  # sequences decoded at once
    max_waiting: int = 64  # sequences queued before newcomers are refused as `Overloaded`
    max_prefill_rows: int = 256  # prefix rows taken into one step: bounds how long running streams wait for newcomers
    max_render_frames: int = 384  # vocoder frames of one step, context included: the same bound for the vocoder
    max_window_frames: int = 256  # longest vocoder window, context included
    window_widths: tuple[int, ...] = ()  # frames a window has; none named: every multiple of `WIDTH_STEP`
    max_window_batch: int = 1  # windows in one vocoder pass: more pays on a GPU alone
    is_deterministic: bool = False  # fixed row counts, so that a sequence's bits do not depend on its batch
    uses_cuda_graphs: bool = True  # on a GPU: what is computed is captured once and replayed
    uses_fused_kernels: bool = False  # on a GPU: ours, in decode steps

    def __post_init__(self) -> None:
        assert self.max_slots > 0 and self.max_waiting > 0 and self.max_prefill_rows > 0
        assert MIN_WINDOW_FRAMES <= self.max_window_frames <= self.max_render_frames
        assert self.max_window_batch > 0
        assert not self.window_widths or sorted(self.window_widths)[-1] == self.max_window_frames

    @property
    def windows_at_once(self) -> int:
        """In one vocoder pass: in deterministic mode each alone."""
        return 1 if self.is_deterministic else self.max_window_batch

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Frames a window has wherever there is room for one of these, ascending."""
        return tuple(sorted(self.window_widths)) or tuple(
            range(WIDTH_STEP, self.max_window_frames + WIDTH_STEP, WIDTH_STEP)
        )
