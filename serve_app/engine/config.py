"""The engine's own settings, frozen. Knows no environment."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineConfig:
    """Bounds of one engine. Rows, codes and frames are counts; see PRODUCT.md's vocabulary in the docs."""

    max_slots: int = 16  # sequences decoded at once
    max_waiting: int = 64  # sequences queued before newcomers are refused as `Overloaded`
    max_prefill_rows: int = 256  # prefix rows taken into one step: bounds how long running streams wait for newcomers
    max_render_frames: int = 384  # vocoder frames of one step, context included: the same bound for the vocoder
    max_window_frames: int = 256  # longest vocoder window, context included
    max_window_batch: int = 1  # windows in one vocoder pass: more pays on a GPU alone
    is_deterministic: bool = False  # fixed row counts, so that a sequence's bits do not depend on its batch
    uses_cuda_graphs: bool = True  # on a GPU: decode steps are captured once and replayed

    def __post_init__(self) -> None:
        assert self.max_slots > 0 and self.max_waiting > 0 and self.max_prefill_rows > 0
        assert 64 <= self.max_window_frames <= self.max_render_frames
        assert self.max_window_batch > 0
