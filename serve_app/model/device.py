"""Which device and number format to compute in. Knows the machine, not the model."""

from dataclasses import dataclass

import torch

from serve_app.errors import SettingsError

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
    return Compute(chosen, _best_dtype(chosen) if dtype == "auto" else DTYPES[dtype], quantization == "int8")


def _best_dtype(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    has_bfloat16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if has_bfloat16 else torch.float32
