"""Which device and number format to compute in. Knows the machine, not the model."""

import math
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from serve_app.errors import SettingsError

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds allowed, and their period
PROCESS_PAGES = Path("/proc/self/statm")  # the second number: those in memory
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Compute:
    """A device and how numbers are kept on it."""

    device: torch.device
    dtype: torch.dtype  # of matrices and of the vocoder
    is_int8: bool = False  # the GPT's matrices in 8 bit

    def __post_init__(self) -> None:
        assert not (self.is_int8 and self.device.type != "cpu")

    @property
    def cache_dtype(self) -> torch.dtype:
        """Of keys and values. A CPU attends faster in float32 than in 16 bit (measured: twice)."""
        return torch.float32 if self.device.type == "cpu" else self.dtype

    def __str__(self) -> str:
        name = str(self.dtype).removeprefix("torch.")
        return f"{self.device.type} {name}{' int8' if self.is_int8 else ''}"


def choose_compute(device: str, dtype: str, quantization: str) -> Compute:
    """From the settings' words. Raises `SettingsError` for what this machine cannot do."""
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("XTTS_DEVICE is cuda and no GPU can be used here: set XTTS_DEVICE=cpu, or install a driver")
    chosen = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    if quantization == "int8" and chosen.type != "cpu":
        raise SettingsError("XTTS_QUANTIZATION=int8 is for CPUs: set it to none, or XTTS_DEVICE=cpu")
    if quantization == "int8" and "fbgemm" not in torch.backends.quantized.supported_engines:
        raise SettingsError("XTTS_QUANTIZATION=int8 needs an x86 processor: set it to none")
    return Compute(chosen, _best_dtype(chosen) if dtype == "auto" else DTYPES[dtype], quantization == "int8")


def _best_dtype(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    has_bfloat16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if has_bfloat16 else torch.float32


def num_cpus() -> int:
    """Cores that this process may use: fewer than the machine's where a container or an affinity says so."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CPU_QUOTA.read_text(encoding="ascii").split()
        return max(1, min(allowed, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or "max"
        return allowed


@cache
def stream_of(device: torch.device, role: str, priority: int = 0) -> Any:
    """The one CUDA stream of this process for a role. Made anew each time they would be another's before long: CUDA's
    are handed out from a few dozen in turn, and one that is being captured must not be used by anyone else.
    """
    return torch.cuda.Stream(device, priority)


def taken_bytes(device: torch.device) -> int:
    """Memory that this process holds now: of the GPU, or of the machine where Linux says so."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return torch.cuda.memory_reserved(device)
    try:
        return int(PROCESS_PAGES.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU tensor there, without waiting for what the device still has to do."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
