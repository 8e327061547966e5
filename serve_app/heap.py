"""What glibc's heap keeps of memory that was freed, which a service of days would feel. Elsewhere these do nothing."""

import ctypes
import sys

LARGE_BYTES = 128 * 1024  # glibc's own bound at the start, which it raises to 32 MiB by what is freed
_M_MMAP_THRESHOLD = -3  # malloc.h


def give_back_freed_memory() -> None:
    """To the system, some milliseconds."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def map_large_blocks() -> None:
    """Recordings come and go in all sizes: each large block is mapped by itself from now on, and leaves no hole."""
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if libc is not None and hasattr(libc, "malloc_trim") else None
