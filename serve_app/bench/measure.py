"""What one side of the bench did in one round, and memory as the system counts it."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Measurement:
    """One side, one level, one round."""

    wall_s: float
    audio_s: float
    num_codes: int
    ttfa_s: list[float]  # of each request, counted from the moment when all were sent
    peak_memory_bytes: int
    gpt_s: float  # prefill and decode, or generate and the second pass
    vocoder_s: float

    @property
    def audio_s_per_s(self) -> float:
        return self.audio_s / self.wall_s

    @property
    def codes_per_s(self) -> float:
        return self.num_codes / self.wall_s


def reset_peak_memory(device: torch.device) -> None:
    """Starts a new peak: of the GPU's allocator, or of this process's resident memory (Linux, proc(5) clear_refs)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_bytes(device: torch.device) -> int:
    """The most that was held since `reset_peak_memory`: GPU memory allocated, or resident memory of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return _kilobytes(Path("/proc/self/status"), "VmHWM") * 1024


def proportional_memory_bytes() -> int:
    """This process's proportional set size now: resident memory with shared pages divided among their users."""
    return _kilobytes(Path("/proc/self/smaps_rollup"), "Pss") * 1024


def _kilobytes(file: Path, key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB$", file.read_text(encoding="ascii"), re.MULTILINE)
    assert found, f"{file} has no {key}"
    return int(found[1])
