import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from serve_app.engine.slot_attention import _difference
from serve_app.model.config import GptConfig
from tests.engine.support import CPU

PROGRAM = Path(__file__).with_name("interpreted_kernel.py")
CONFIG = GptConfig(width=64, num_heads=2)


@pytest.mark.skipif(sys.platform != "linux", reason="Triton is for Linux")
def test_kernel_gives_what_torchs_attention_gives() -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(root)}
    run = subprocess.run([sys.executable, PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("fault", ["output", "cache", "nan"])
def test_kernel_that_is_wrong_is_found_out(fault: str) -> None:
    def attend(qkv: Tensor, cached: Tensor, slots: Tensor, positions: Tensor) -> Tensor:
        if fault != "cache":
            cached[slots, :, :, positions] = qkv[:, 1:] * (float("nan") if fault == "nan" else 1.0)
        return qkv[:, 2]

    assert not _difference(attend, CONFIG, CPU, torch.float32) < 0.1
