"""What a GPU's memory has room for, reckoned without one."""

import logging

import pytest
import torch
from torch import Tensor

from serve_app.engine.config import EngineConfig
from serve_app.engine.model_runner import ModelRunner, slot_bytes
from serve_app.errors import SettingsError, StartupError
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.config import GptConfig
from serve_app.model.device import Compute
from serve_app.speech import engine_setup
from serve_app.speech.engine_setup import GPU_RESERVE_BYTES, build_runner, slots_that_fit
from tests.engine.reference import load
from tests.engine.support import FLOAT32, make_runner

BFLOAT16 = Compute(torch.device("cuda"), torch.bfloat16)
GIB = 1 << 30


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load("synthetic:tiny")[0]


def _held(runner: ModelRunner) -> int:
    state = runner._state
    tensors: list[Tensor] = [runner._cache._cache, state.latents, state.codes, state.seen]
    return sum(tensor.nbytes for tensor in tensors)


def test_slot_takes_what_is_reckoned(checkpoint: Checkpoint) -> None:
    few, many = (make_runner(checkpoint, EngineConfig(max_slots=slots), has_fixed_steps=True) for slots in (2, 7))
    assert _held(many) - _held(few) == 5 * slot_bytes(checkpoint.config.gpt, torch.float32)


def test_published_model_takes_130_megabytes_a_slot_in_16_bit() -> None:
    assert slot_bytes(GptConfig(), torch.bfloat16) == pytest.approx(130e6, rel=0.02)


@pytest.mark.parametrize(
    ("free_gib", "slots"),
    [
        (139.0, 64),
        (10.0, 64),
        (5.0, 31),
        (2.3, 9),  # a card of 4 GB: without CUDA's context, 1.1 GB of weights and a vocoder that takes little at a time
    ],
)
def test_slots_fill_the_memory_and_leave_the_reserve(
    free_gib: float, slots: int, caplog: pytest.LogCaptureFixture
) -> None:
    shapes, free_bytes = GptConfig(), int(free_gib * GIB)
    with caplog.at_level(logging.WARNING):
        found = slots_that_fit(free_bytes, shapes, BFLOAT16, 64)
    assert found == slots
    left = free_bytes - (found + 1) * slot_bytes(shapes, torch.bfloat16)
    assert left >= GPU_RESERVE_BYTES
    assert found == 64 or left < GPU_RESERVE_BYTES + slot_bytes(shapes, torch.bfloat16)
    assert ("room for" in caplog.text) == (found < 64)
    assert slots_that_fit(free_bytes, shapes, BFLOAT16, 4) == 4


def test_gpu_without_room_for_a_sentence_is_refused() -> None:
    with pytest.raises(StartupError, match="MiB left"):
        slots_that_fit(GIB + (200 << 20), GptConfig(), BFLOAT16, 64)


def test_kernels_that_cannot_be_are_refused(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(engine_setup.shutil, "which", lambda name: None)
    with pytest.raises(SettingsError, match="C compiler"):
        build_runner(checkpoint, FLOAT32, EngineConfig(uses_fused_kernels=True))
