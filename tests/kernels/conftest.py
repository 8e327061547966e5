"""Triton's interpreter as NumPy 2.4 needs it: a loop's bound that was read from memory is an array of one number."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def bounds_from_memory() -> Iterator[None]:
    if torch.cuda.is_available():
        yield
        return
    from triton.runtime import interpreter

    patch_tensor = interpreter._patch_lang_tensor

    def patched(tensor: Any, scope: Any) -> None:
        patch_tensor(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter, "_patch_lang_tensor", patched)
        yield
