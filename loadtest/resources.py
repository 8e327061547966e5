"""What the service's processes hold, by role: memory, open files, threads. Read from /proc."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median

from serve_app.bench.process_tree import PROC, ProcessTree

DECODER = "decoder"
DECODER_MODULE = b"serve_app.audio.decode_worker"


@dataclass(frozen=True)
class Usage:
    """Of all processes of one role. Pages that several share are divided among them; mapped files do not count."""

    heap_bytes: int = 0
    num_files: int = 0
    num_threads: int = 0
    num_processes: int = 0
    shared_bytes: int = 0  # memory made to be shared: Ray's object store, which has a size of its own

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.heap_bytes + other.heap_bytes,
            self.num_files + other.num_files,
            self.num_threads + other.num_threads,
            self.num_processes + other.num_processes,
            self.shared_bytes + other.shared_bytes,
        )


UsageByRole = dict[str, Usage]


def usage_by_role(tree: ProcessTree) -> UsageByRole:
    """Now. A process that ends while it is read counts for nothing."""
    found: UsageByRole = {}
    for pid in tree.pids():
        with suppress(FileNotFoundError, ProcessLookupError, AssertionError):
            role = role_of(tree, pid)
            found[role] = found.get(role, Usage()) + _usage(pid)
    return found


def role_of(tree: ProcessTree, pid: int) -> str:
    is_decoder = DECODER_MODULE in (PROC / str(pid) / "cmdline").read_bytes()
    return DECODER if is_decoder else tree.group(pid)


def _usage(pid: int) -> Usage:
    folder: Path = PROC / str(pid)
    text = (folder / "smaps_rollup").read_text("ascii")
    heap, shared = (_kilobytes(text, name) * 1024 for name in ("Pss_Anon", "Pss_Shmem"))
    return Usage(heap, _num_entries(folder / "fd"), _num_entries(folder / "task"), 1, shared)


def _kilobytes(text: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found, f"smaps_rollup has a line {name}"
    return int(found[1])


def _num_entries(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def middle(readings: Iterable[UsageByRole]) -> UsageByRole:
    """The median of several readings, number by number."""
    readings = list(readings)
    roles = {role for each in readings for role in each}

    def of(role: str, name: str) -> int:
        return int(median(getattr(each.get(role, Usage()), name) for each in readings))

    return {role: Usage(*(of(role, each.name) for each in fields(Usage))) for role in sorted(roles)}
