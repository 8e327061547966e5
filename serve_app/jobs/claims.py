"""Which job a process works on next, and whether it still may.

Of the owners whose jobs wait, the one that was served longest ago is next, and so it goes among its jobs: a book of
forty hours holds up nobody.
"""

import contextlib
import itertools
from dataclasses import dataclass
from enum import Enum, auto

from serve_app import metrics
from serve_app.errors import JobDamaged, JobNotFound
from serve_app.jobs.files import storage_errors
from serve_app.jobs.folder import JobFolder
from serve_app.jobs.lease import Lease, Leases
from serve_app.jobs.store import JobStore
from serve_app.metrics import Metrics

Waiting = dict[str, list[JobFolder]]


class Hold(Enum):
    """What a look at a claimed job says."""

    OURS = auto()
    LOST = auto()  # removed, or somebody else's
    CANCELLED = auto()


@dataclass(frozen=True)
class Claim:
    """A job that this process works on."""

    folder: JobFolder
    lease: Lease


class Claims:
    """Those of one process. Its methods block, and are called by one thread at a time; they raise StorageFailed."""

    def __init__(self, store: JobStore, lease_s: float, recorder: Metrics) -> None:
        self._store, self._leases, self._recorder = store, Leases(lease_s), recorder
        self._turn = itertools.count(1)
        self._served: dict[str, int] = {}  # the turns that owners and jobs last had, by the names of their folders

    def waiting(self) -> Waiting:
        """Jobs that are not over, by owner, whoever works on them."""
        waiting = self._store.unfinished()
        self._recorder.set(metrics.JOBS_OPEN, sum(map(len, waiting.values())))
        return waiting

    def next(self, waiting: Waiting, model: str) -> Claim | None:
        """One for this default model or a further one; None where there is none, or others have them all."""
        paths = {folder.path for folders in waiting.values() for folder in folders}
        self._leases.forget_all_but(paths)
        names = {path.name for path in paths} | set(waiting)
        self._served = {name: turn for name, turn in self._served.items() if name in names}
        for owner in sorted(waiting, key=lambda owner: (self._last_served(owner), waiting[owner][0].path.name)):
            for folder in sorted(waiting[owner], key=lambda folder: self._last_served(folder.path.name)):
                if self._is_for(folder, model) and (lease := self._claim(folder)) is not None:
                    self._served[owner] = self._served[folder.path.name] = next(self._turn)
                    return Claim(folder, lease)
        return None

    def look(self, claim: Claim) -> Hold:
        """Renews its lease."""
        try:
            with storage_errors(claim.folder.path):
                if not self._leases.renew(claim.lease):
                    return Hold.LOST
            return Hold.CANCELLED if claim.folder.is_cancelled() else Hold.OURS
        except JobNotFound:
            return Hold.LOST

    def release(self, claim: Claim) -> None:
        with contextlib.suppress(JobNotFound), storage_errors(claim.folder.path):
            self._leases.release(claim.lease)

    def _is_for(self, folder: JobFolder, model: str) -> bool:
        """A job that cannot be read is anyone's to fail."""
        try:
            head = folder.head()
            return head.model is not None or head.model_name == model
        except JobNotFound:
            return False
        except JobDamaged:
            return True

    def _last_served(self, name: str) -> int:
        return self._served.get(name, 0)

    def _claim(self, folder: JobFolder) -> Lease | None:
        """One whose job is not over, which it may have become since we looked."""
        with contextlib.suppress(JobNotFound), storage_errors(folder.path):
            lease = self._leases.claim(folder.path)
            if lease is None:
                return None
            if not folder.state().status.is_over:
                return lease
            self._leases.release(lease)
        return None
