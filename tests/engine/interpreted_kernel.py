"""Runs the attention kernel in Triton's interpreter, on a CPU, beside PyTorch's attention. Exits 1 where they differ.

A program of its own, because Triton reads TRITON_INTERPRET when it is imported.
"""

import sys
from typing import Any

import torch
from triton.runtime import interpreter

from serve_app.engine import slot_attention
from serve_app.model.config import GptConfig

patch_tensor = interpreter._patch_lang_tensor


def patched(tensor: Any, scope: Any) -> None:
    """NumPy 2.4 makes no number of an array of one any more, which the interpreter's loops rely on."""
    patch_tensor(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))


interpreter._patch_lang_tensor = patched
CPU = torch.device("cpu")
for dtype in slot_attention.TOLERANCES:
    if slot_attention.find_kernel(GptConfig(width=64, num_heads=2), CPU, dtype) is None:
        sys.exit(1)
