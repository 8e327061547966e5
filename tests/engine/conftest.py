from collections.abc import Generator

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Generator[None]:
    """Tiny products gain nothing from a second core, and an engine has a thread beside the test's own."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)
