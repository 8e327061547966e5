"""The directory of all jobs, which processes may share: made, found, listed, cancelled and removed. Knows no runner.

A folder for each owner (an API key's name; everyone where there are no keys) with a folder for each of its jobs, so
that nobody can name another's. A job's id begins with its time, so that their order is known without reading them.
"""

import hashlib
import logging
import re
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from serve_app.audio.pcm import Recording
from serve_app.errors import JobDamaged, JobNotFound, StorageFailed, TooManyJobs
from serve_app.jobs.files import full, storage_errors
from serve_app.jobs.folder import JobFolder
from serve_app.jobs.job import PART_CHARS, Head, Item, Job, NewJob
from serve_app.text.parts import cut_parts

MIN_FREE_BYTES = 256 * 1024 * 1024  # left on the disk for whatever else lives there
DAY_S = 86_400.0
LEFTOVER_S = 3_600.0  # after which a folder that somebody began to make, or to remove, is nobody's

_ID = re.compile(r"job-[0-9a-f]{28}")
_EVERYONE = "everyone"

logger = logging.getLogger(__name__)


class JobStore:
    """Thread-safe. Its methods block for as long as the disk does, and raise StorageFailed and StorageFull."""

    def __init__(
        self, directory: Path, max_jobs: int, keep_days: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory.expanduser()
        self._max_jobs, self._keep_s, self._clock = max_jobs, keep_days * DAY_S, clock
        self._over: set[Path] = set()  # jobs that are known to be over, which no job ceases to be

    # -- of one client -------------------------------------------------------------------------------------------------

    def create(self, owner: str | None, new: NewJob) -> Job:
        """Cuts the texts into parts and keeps the job. Raises TooManyJobs."""
        self.check_may_keep(owner)
        self.check_room()
        items, texts, references = _plan(new)
        head = Head(
            id=f"job-{int(self._clock() * 1_000):012x}{secrets.token_hex(8)}",
            created_at=self._clock(),
            is_list=new.is_list,
            num_items=len(items),
            num_parts=len(texts),
            num_chars=sum(map(len, texts)),
            response_format=new.response_format,
            model=new.model,
            model_name=new.model_name,
            sample_rate_hz=new.sample_rate_hz,
            seed=new.seed,
            sampling=new.sampling,
            guards=new.guards,
        )
        path = self._of(owner) / head.id
        making = path.with_name(f".new-{head.id}")
        try:
            with storage_errors(path):
                making.mkdir(parents=True)
            JobFolder(making).write_new(head, items, texts, references)
            with storage_errors(path):
                making.rename(path)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return JobFolder(path).job()

    def check_may_keep(self, owner: str | None) -> None:
        """Before minutes go into reading recordings. Raises TooManyJobs."""
        if not self._max_jobs:
            raise TooManyJobs("This service keeps no jobs (XTTS_MAX_JOBS is 0); use POST /v1/audio/speech.")
        if len(self._ids(self._of(owner))) >= self._max_jobs:
            raise TooManyJobs(f"You have {self._max_jobs} jobs, which is all that are kept; delete one that is over.")

    def check_room(self) -> None:
        """Raises StorageFull where jobs would take the last of the disk."""
        with storage_errors(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self._directory).free < MIN_FREE_BYTES:
                logger.error("jobs wait: there is no room in %s", self._directory)
                raise full()

    def find(self, owner: str | None, job_id: str) -> JobFolder:
        """Raises JobNotFound: ids of others, and what is none, are not there."""
        if _ID.fullmatch(job_id) is not None:
            path = self._of(owner) / job_id
            with suppress(JobNotFound), storage_errors(path):
                path.stat()
                return JobFolder(path)
        raise JobNotFound(f"You have no job {job_id[:80]!r}; see GET /v1/jobs.", field="id")

    def page(self, owner: str | None, limit: int, after: str | None) -> tuple[list[Job], bool]:
        """The newest first, from the one after the job `after` on, and whether there are more."""
        folder = self._of(owner)
        ids = [each for each in reversed(self._ids(folder)) if after is None or each < after]
        jobs = []
        for job_id in ids[:limit]:
            try:
                jobs.append(JobFolder(folder / job_id).job())
            except JobNotFound:
                continue
            except JobDamaged as error:
                logger.error("the job %s is not listed: %s", job_id, error.message)
        return jobs, len(ids) > limit

    def remove(self, folder: JobFolder) -> None:
        """At once for whoever looks for it; whoever works on it finds out."""
        gone = folder.path.with_name(f".gone-{folder.path.name}-{secrets.token_hex(4)}")
        with storage_errors(folder.path):
            folder.path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        self._over.discard(folder.path)

    # -- of all --------------------------------------------------------------------------------------------------------

    def unfinished(self) -> dict[str, list[JobFolder]]:
        """By owner's folder, the oldest first."""
        found: dict[str, list[JobFolder]] = {}
        with storage_errors(self._directory):
            if not self._directory.is_dir():
                return {}
            owners = sorted(path for path in self._directory.iterdir() if path.is_dir())
        known: set[Path] = set()
        for owner in owners:
            folders = [JobFolder(owner / job_id) for job_id in self._ids(owner)]
            known.update(folder.path for folder in folders)
            if waiting := [folder for folder in folders if not self._is_over(folder)]:
                found[owner.name] = waiting
        self._over &= known
        return found

    def remove_old(self) -> int:
        """Jobs that ended so many days ago, or never did and are as old; and what was left half made or removed."""
        num_removed = 0
        with storage_errors(self._directory):
            if not self._directory.is_dir():
                return 0
            owners = [path for path in self._directory.iterdir() if path.is_dir()]
        for owner in owners:
            for job_id in self._ids(owner):
                with suppress(JobNotFound, StorageFailed):
                    folder = JobFolder(owner / job_id)
                    if self._clock() - _last_time(folder) > self._keep_s:
                        self.remove(folder)
                        num_removed += 1
            self._remove_leftovers(owner)
        return num_removed

    def _remove_leftovers(self, owner: Path) -> None:
        with storage_errors(owner):
            for path in owner.iterdir():
                with suppress(FileNotFoundError):
                    if path.name.startswith(".") and self._clock() - path.stat().st_mtime > LEFTOVER_S:
                        shutil.rmtree(path, ignore_errors=True)

    def _is_over(self, folder: JobFolder) -> bool:
        if folder.path in self._over:
            return True
        try:
            is_over = folder.state().status.is_over
        except JobNotFound:
            return True
        except JobDamaged as error:
            logger.error("the job %s is left alone: %s", folder.path.name, error.message)
            is_over = True
        if is_over:
            self._over.add(folder.path)
        return is_over

    def _of(self, owner: str | None) -> Path:
        """Named by a hash: a name need not be fit for a file."""
        name = _EVERYONE if owner is None else f"key-{hashlib.sha256(owner.encode()).hexdigest()[:32]}"
        return self._directory / name

    def _ids(self, folder: Path) -> list[str]:
        with storage_errors(folder):
            try:
                return sorted(path.name for path in folder.iterdir() if _ID.fullmatch(path.name))
            except FileNotFoundError:
                return []


def _last_time(folder: JobFolder) -> float:
    """When it ended, or else was made; by the disk where it is damaged, so that it goes as well."""
    try:
        job = folder.job()
    except JobDamaged:
        with storage_errors(folder.path):
            return folder.path.stat().st_mtime
    return job.state.finished_at or job.head.created_at


def _plan(new: NewJob) -> tuple[list[Item], list[str], list[Recording]]:
    """Items, the words of all their parts, and the recordings, each once."""
    items: list[Item] = []
    texts: list[str] = []
    references: dict[int, int] = {}  # by identity
    recordings: list[Recording] = []
    for item_id, turn in new.texts:
        number = None
        if (reference := turn.voice.reference) is not None:
            number = references.setdefault(id(reference), len(recordings))
            if number == len(recordings):
                recordings.append(reference)
        parts = list(cut_parts(turn.text, turn.language, PART_CHARS))
        items.append(
            Item(
                id=item_id,
                first_part=len(texts),
                num_parts=len(parts),
                language=turn.language,
                voice=turn.voice.parts,
                reference=number,
                style=turn.voice.style,
                style_intensity=turn.voice.style_intensity,
                speed=turn.speed,
                pronunciations=turn.pronunciations,
            )
        )
        texts += parts
    return items, texts, recordings
