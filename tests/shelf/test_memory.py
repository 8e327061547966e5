"""The bound on models' memory: what is set, or a share of what there is."""

from pathlib import Path

import pytest
import torch

from serve_app.settings import Settings
from serve_app.shelf import memory
from serve_app.shelf.memory import SHARE, max_model_bytes


def test_setting_is_the_bound() -> None:
    assert max_model_bytes(Settings(max_model_bytes=123), "cpu") == 123


def test_limit_of_a_container_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "MEMORY_LIMIT", limit)
    whole = max_model_bytes(Settings(), "cpu")
    limit.write_text("max\n")
    assert max_model_bytes(Settings(), "cpu") == whole > 1_000_000_000 * SHARE
    limit.write_text("1000000\n")
    assert max_model_bytes(Settings(), "cpu") == int(SHARE * 1_000_000)


def test_replicas_that_share_a_gpu_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1, 80_000))
    assert max_model_bytes(Settings(), "cuda") == int(SHARE * 80_000)
    assert max_model_bytes(Settings(num_gpus_per_engine=0.5), "cuda") == int(SHARE * 40_000)
