"""What a server and everything it started use, as Linux counts it in /proc. Knows processes by their command lines."""

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CLOCK_TICKS_HZ = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")

# Group → what its command line holds; the first that fits counts.
GROUPS: Mapping[str, re.Pattern[str]] = {
    "engine": re.compile(r"ray::ServeReplica:\w+:Engine"),
    "ingress": re.compile(r"ray::ServeReplica:\w+:Ingress"),
    "proxy": re.compile(r"ray::ProxyActor"),
    "controller": re.compile(r"ray::ServeController"),
}
OTHERS = "others"
PSS_PERIOD_S = 0.3


@dataclass(frozen=True)
class ProcessTree:
    """A process and its descendants. With Ray their command lines tell the engine from the rest; else all is engine."""

    root_pid: int
    is_ray: bool = False

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of each group since its processes started; one group, `engine`, where there is no Ray."""
        seconds: dict[str, float] = {}
        for pid in self.pids():
            with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                group = self.group(pid)
                seconds[group] = seconds.get(group, 0.0) + _cpu_s(pid)
        return seconds

    def engine_pss_bytes(self) -> int:
        """The engine process's proportional set size: resident memory, shared pages divided among their users."""
        engines = [pid for pid in self.pids() if self.group(pid) == "engine"]
        return max(pss_bytes(pid) for pid in engines)

    def group(self, pid: int) -> str:
        if not self.is_ray:
            return "engine"
        command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        return next((name for name, pattern in GROUPS.items() if pattern.search(command)), OTHERS)

    def pids(self) -> Iterator[int]:
        children: dict[int, list[int]] = {}
        for stat in PROC.glob("[0-9]*/stat"):
            with suppress(FileNotFoundError, ProcessLookupError):
                children.setdefault(int(_stat_fields(stat)[1]), []).append(int(stat.parent.name))
        found = [self.root_pid]
        for pid in found:
            found.extend(children.get(pid, ()))
        return iter(found)


def _stat_fields(stat: Path) -> list[str]:
    """The fields of proc_pid_stat(5) after the name, which may hold spaces: state, ppid, …"""
    return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _cpu_s(pid: int) -> float:
    fields = _stat_fields(PROC / str(pid) / "stat")
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_HZ  # utime, stime


def pss_bytes(pid: int) -> int:
    found = re.search(r"^Pss:\s+(\d+) kB$", (PROC / str(pid) / "smaps_rollup").read_text("ascii"), re.MULTILINE)
    assert found, "smaps_rollup has a line Pss"
    return 1024 * int(found[1])


class PssWatch:
    """Reads the engine's proportional memory, over and over, while its block runs."""

    def __init__(self, tree: ProcessTree) -> None:
        self._tree = tree
        self.peak_bytes = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pss", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(PSS_PERIOD_S):
            self._read()
        self._read()

    def _read(self) -> None:
        self.peak_bytes = max(self.peak_bytes, self._tree.engine_pss_bytes())
