"""Where learning happens: one GPU or the CPU, in bfloat16 where the processor computes in it, parameters in float32."""

from contextlib import AbstractContextManager

import torch

from serve_app.errors import RequestError

CPU = torch.device("cpu")


def training_device(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda`. Raises RequestError where there is no such device."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise RequestError(f"there is no device {name!r} here: use auto or cpu", field="device")
    return torch.device(name)


def half_precision(device: torch.device) -> AbstractContextManager[object]:
    """Products within run in bfloat16, where that is faster."""
    return torch.autocast(
        device.type, torch.bfloat16, enabled=device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    )
