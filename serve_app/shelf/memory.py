"""How much memory models may take on this machine, and how it is given back when one is closed."""

import gc
import os
import sys
from pathlib import Path

from serve_app.heap import give_back_freed_memory
from serve_app.settings import Settings

SHARE = 0.7  # of the device's memory for models; what is left is for voices, recordings and steps
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container, in bytes


def max_model_bytes(settings: Settings, device: str) -> int:
    """The setting, or a share of what the device has; less where replicas share a GPU."""
    if settings.max_model_bytes:
        return settings.max_model_bytes
    if device == "cpu":
        return int(SHARE * _process_bytes())
    import torch  # here: a fake needs none

    _, total = torch.cuda.mem_get_info()
    return int(SHARE * total * min(1.0, settings.num_gpus_per_engine or 1.0))


def _process_bytes() -> int:
    """What this process may use of the machine's memory."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(total, int(MEMORY_LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no such file, or "max"
        return total


def give_back_memory() -> None:
    """Of a service that was dropped, to the system and to the GPU's other programs."""
    gc.collect()
    give_back_freed_memory()
    if "torch" in sys.modules:  # not where a fake spoke
        from serve_app.engine.memory import release_memory

        release_memory()
