"""Fixtures that several rooms' tests share: synthetic models, on disk and in memory, made once a session."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from serve_app.model.checkpoint import Checkpoint, load_checkpoint
from serve_app.model.synthetic import write_synthetic
from tests.voices.object_server import ObjectServer

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # our kernels, step by step on a CPU; read when Triton is imported

# The same examples in every run, so that a change is judged by itself; HYPOTHESIS_SEARCH=1 looks for new ones.
settings.register_profile("same examples", derandomize=not os.environ.get("HYPOTHESIS_SEARCH"))
settings.load_profile("same examples")


@pytest.fixture(scope="session", autouse=True)
def jobs_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No server of a test takes up the jobs of whoever works on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XTTS_JOB_DIR", str(tmp_path_factory.mktemp("jobs")))
        yield


@pytest.fixture(scope="session")
def tiny_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`synthetic:tiny` in coqui's layout (model.safetensors), for our loader and for `tests.reference.load_coqui`."""
    directory = tmp_path_factory.mktemp("models") / "tiny"
    write_synthetic(directory, "synthetic:tiny")
    return directory


@pytest.fixture(scope="session")
def full_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`synthetic:full` with two of its thirty layers (460 MB), in coqui's layout."""
    directory = tmp_path_factory.mktemp("models") / "full"
    write_synthetic(directory, "synthetic:full:2")
    return directory


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """`synthetic:tiny` as the program loads it. Shared: leave its tensors alone."""
    cache_dir = tmp_path_factory.mktemp("cache")
    return load_checkpoint("synthetic:tiny", accept_cpml=False, cache_dir=cache_dir, progress=lambda line: None)


@pytest.fixture
def object_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """A server like S3's on this machine, to which the environment leads."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    server = ObjectServer()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    with server.running():
        yield server
