"""What needs a GPU: `make gpu-check` there. Elsewhere these tests say so and are skipped."""

import pytest
import torch

from serve_app.speech.engine_setup import use_gpu


@pytest.fixture(autouse=True, scope="session")
def gpu() -> torch.device:
    """The GPU, computing as the service does."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    use_gpu(is_deterministic=True)
    return torch.device("cuda")
