"""Who works on a job: a file in its folder, which others respect for as long as it is renewed. Knows no job.

Leases are numbered: who takes over from a dead holder creates the next number, which only one can, and the highest
number counts. A holder renews by the file's time. Others go by their own clock and by whether that time moves, so
clocks of machines need not agree; a lease that did not move for `expires_s` is dead.
"""

import contextlib
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"lease-(\d{1,9})")


@dataclass(frozen=True)
class Lease:
    """One that this process holds, or held."""

    folder: Path
    number: int
    token: str

    @property
    def path(self) -> Path:
        return self.folder / f"lease-{self.number}"


@dataclass(frozen=True)
class _Seen:
    """Another's lease as it was when it last moved."""

    number: int
    moved_ns: int
    at_s: float


class Leases:
    """Those that a process takes. Used by one thread at a time; all methods raise OSError."""

    def __init__(self, expires_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._expires_s, self._clock = expires_s, clock
        self._seen: dict[Path, _Seen] = {}

    def claim(self, folder: Path) -> Lease | None:
        """A lease, or None where somebody has it, or may still have it."""
        number = _highest(folder)
        if number and not self._is_dead(folder, number):
            return None
        lease = Lease(folder, number + 1, secrets.token_hex(8))
        try:
            with lease.path.open("x", encoding="ascii") as file:
                file.write(lease.token)
        except FileExistsError:
            return None
        if _highest(folder) != lease.number:  # others came and went since we looked
            lease.path.unlink(missing_ok=True)
            return None
        for older in range(max(1, number - 1), lease.number):
            (folder / f"lease-{older}").unlink(missing_ok=True)
        self._seen.pop(folder, None)
        return lease

    def renew(self, lease: Lease) -> bool:
        """Whether it is still ours; if so, for another while. Needs no room on the disk."""
        try:
            if lease.path.read_text(encoding="ascii") != lease.token or _highest(lease.folder) != lease.number:
                return False
            os.utime(lease.path)
        except FileNotFoundError:
            return False
        return True

    def release(self, lease: Lease) -> None:
        with contextlib.suppress(FileNotFoundError):
            if lease.path.read_text(encoding="ascii") == lease.token:
                lease.path.unlink()

    def forget_all_but(self, folders: set[Path]) -> None:
        """Of what was seen of others' leases."""
        self._seen = {folder: seen for folder, seen in self._seen.items() if folder in folders}

    def _is_dead(self, folder: Path, number: int) -> bool:
        now_s = self._clock()
        try:
            with (folder / f"lease-{number}").open("rb") as file:  # opened, so that a network's cache is asked anew
                moved_ns = os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:  # released this moment
            return False
        seen = self._seen.get(folder)
        if seen is None or (seen.number, seen.moved_ns) != (number, moved_ns):
            self._seen[folder] = _Seen(number, moved_ns, now_s)
            return False
        return now_s - seen.at_s >= self._expires_s


def _highest(folder: Path) -> int:
    """The number of the lease that counts; 0 where there is none."""
    found = (_NAME.fullmatch(entry.name) for entry in os.scandir(folder))
    return max((int(match[1]) for match in found if match), default=0)
