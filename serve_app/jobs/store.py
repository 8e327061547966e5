"""Jobs as folders, which several processes may share: what a job is, what of it is spoken, and who speaks it now.

Every file appears whole. How far a job is follows from the files that are there, so nothing can contradict itself. All
methods block, and raise StorageFailed or StorageFull where the disk does not do its part.
"""

import contextlib
import errno
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from serve_app.audio.pcm import Recording, Samples
from serve_app.errors import JobNotFound, Overloaded, StorageFailed, StorageFull
from serve_app.jobs import files
from serve_app.jobs.job import JobHead, JobWork, Progress, SpokenPart, Status, is_id

LEASE_S = 30.0  # without a sign of life of its speaker, a job is another's
BYTES_PER_CHAR = 2_500  # of speech in FLAC, rather too many: room is looked for before a job is taken
SPARE_BYTES = 1 << 30
FULL_RETRY_AFTER_S = 60.0
MAX_WARNINGS = 20

_HEAD, _WORK, _REFERENCE, _LEASE = "job.json", "work.json", "reference.npy", "lease"
_FAILED, _CANCELLED = "failed.json", "cancelled"

logger = logging.getLogger(__name__)


class JobStore:
    """`max_jobs` are kept at most, those that are over included."""

    def __init__(self, directory: Path, max_jobs: int, sample_rate_hz: int = 24_000) -> None:
        self._directory, self._max_jobs = directory.expanduser(), max_jobs
        self._sample_rate_hz = sample_rate_hz
        self._heads: dict[str, JobHead] = {}  # they never change

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def add(self, head: JobHead, work: JobWork) -> None:
        """Keeps a job; from then on any process may take it. Raises `Overloaded` where too many are kept."""
        with self._failing():
            self._directory.mkdir(parents=True, exist_ok=True)
            if len(self.ids()) >= self._max_jobs:
                message = f"{self._max_jobs} jobs are kept, which is all there may be; delete one, or wait."
                raise Overloaded(message, retry_after_s=FULL_RETRY_AFTER_S)
            if shutil.disk_usage(self._directory).free < head.num_chars * BYTES_PER_CHAR + SPARE_BYTES:
                raise StorageFull(
                    "There is not enough disk for the speech of this job; delete jobs, or send less text."
                )
            making = self._directory / f".{head.id}"
            making.mkdir()
            reference = next((r for item in work.items if (r := item.turn.voice.reference) is not None), None)
            if reference is not None:
                rate = np.array([reference.sample_rate_hz], np.float32)
                np.save(making / _REFERENCE, np.concatenate([rate, reference.samples]), allow_pickle=False)
            (making / _WORK).write_text(json.dumps(files.work_to_json(work)), encoding="utf-8")
            (making / _HEAD).write_text(json.dumps(files.head_to_json(head)), encoding="utf-8")
            making.rename(self._directory / head.id)

    def ids(self) -> list[str]:
        """Of all jobs, the newest first."""
        with self._failing():
            try:
                names = [path.name for path in self._directory.iterdir()]
            except FileNotFoundError:
                return []
            return sorted((name for name in names if is_id(name)), reverse=True)

    def head(self, job_id: str) -> JobHead:
        """Raises `JobNotFound`, also for a folder that cannot be understood."""
        if is_id(job_id) and self._path(job_id).is_dir():
            if (known := self._heads.get(job_id)) is not None:
                return known
            with contextlib.suppress(KeyError, TypeError, ValueError):
                if (found := self._json(job_id, _HEAD)) is not None:
                    self._heads[job_id] = files.head_of_json(found)
                    return self._heads[job_id]
        self._heads.pop(job_id, None)
        raise JobNotFound(f"There is no job {job_id[:40]!r}; see GET /v1/jobs.")

    def work(self, job_id: str) -> JobWork:
        """Raises `JobNotFound` where it is gone or cannot be understood."""
        try:
            found = self._json(job_id, _WORK)
            if found is not None:
                return files.work_of_json(found, self._reference(job_id))
        except (KeyError, TypeError, ValueError) as error:
            logger.warning("job %s cannot be understood: %s", job_id, error)
        raise JobNotFound(f"Job {job_id!r} cannot be read; delete it, and send it again.")

    def progress(self, head: JobHead) -> Progress:
        """How far it is, from the files that are there."""
        with self._failing():
            try:
                names = {path.name for path in self._path(head.id).iterdir()}
            except FileNotFoundError:
                raise JobNotFound(f"There is no job {head.id!r}; see GET /v1/jobs.") from None
        spoken = [(part, self.spoken(head.id, index)) for index, part in enumerate(head.parts) if _name(index) in names]
        done = [(part, each) for part, each in spoken if each is not None]
        num_chars_done = sum(part.num_chars for part, _ in done)
        status = self._status(head, names, len(done))
        failure = ""
        if status is Status.FAILED:
            failure = str((self._json(head.id, _FAILED) or {}).get("message", "the reason is lost"))
        warnings = list(dict.fromkeys(warning for _, each in done for warning in each.warnings))
        return Progress(
            status,
            len(done),
            num_chars_done,
            sum(each.duration_s for _, each in done),
            self._left_s(head, num_chars_done) if status is Status.RUNNING else None,
            failure,
            tuple(warnings[:MAX_WARNINGS]),
        )

    def missing(self, head: JobHead) -> list[int]:
        """Numbers of the parts that are not spoken yet, in order."""
        return [index for index in range(len(head.parts)) if not (self._path(head.id) / _name(index)).is_file()]

    def fail(self, job_id: str, message: str) -> None:
        self._put(job_id, _FAILED, json.dumps({"message": message}).encode())

    def cancel(self, job_id: str) -> None:
        self._put(job_id, _CANCELLED, b"")

    def is_cancelled(self, job_id: str) -> bool:
        """Or gone."""
        path = self._path(job_id)
        return (path / _CANCELLED).exists() or not path.is_dir()

    def is_over(self, job_id: str) -> bool:
        path = self._path(job_id)
        return (path / _FAILED).exists() or self.is_cancelled(job_id) or not self.missing(self.head(job_id))

    def remove(self, job_id: str) -> None:
        """And all its files."""
        with self._failing():
            self._heads.pop(job_id, None)
            gone = self._directory / f".{job_id}.{secrets.token_hex(4)}"
            with contextlib.suppress(FileNotFoundError):
                self._path(job_id).rename(gone)  # at once for all who look, and then at leisure
                shutil.rmtree(gone, ignore_errors=True)

    # -- parts ---------------------------------------------------------------------------------------------------------

    def write_part(self, job_id: str, index: int, samples: Samples, spoken: SpokenPart) -> None:
        """`samples` [n], ±1. The part is there once its JSON is."""
        audio = BytesIO()
        soundfile.write(audio, samples, self._sample_rate_hz, format="FLAC", subtype="PCM_16")
        self._put(job_id, _name(index, "flac"), audio.getvalue())
        self._put(job_id, _name(index), json.dumps(files.spoken_to_json(spoken)).encode())

    def spoken(self, job_id: str, index: int) -> SpokenPart | None:
        """None where it is not spoken yet, or was damaged since."""
        try:
            found = self._json(job_id, _name(index))
            return None if found is None else files.spoken_of_json(found)
        except (KeyError, TypeError, ValueError):
            return None

    def samples(self, job_id: str, index: int) -> Samples:
        """Of a part that was spoken, [n] ±1."""
        with self._failing():
            data = (self._path(job_id) / _name(index, "flac")).read_bytes()
        samples: Samples = soundfile.read(BytesIO(data), dtype="float32")[0]
        return samples

    # -- who speaks it -------------------------------------------------------------------------------------------------

    def claim(self, job_id: str, speaker: str) -> bool:
        """Whether the job is now this speaker's. One whose speaker gave no sign of life for long is taken over."""
        lease = self._path(job_id) / _LEASE
        with self._failing():
            if self._lease_age_s(job_id) > LEASE_S:
                with contextlib.suppress(FileNotFoundError):  # of two who find it expired, one renames it
                    lease.rename(lease.with_name(f"{_LEASE}.{secrets.token_hex(4)}"))
            try:
                with lease.open("x", encoding="utf-8") as file:
                    file.write(speaker)
            except (FileExistsError, FileNotFoundError):
                return False
            return True

    def renew(self, job_id: str, speaker: str) -> bool:
        """A sign of life. False where the job is another's by now, or gone."""
        lease = self._path(job_id) / _LEASE
        with self._failing():
            try:
                if lease.read_text(encoding="utf-8") != speaker:
                    return False
                os.utime(lease)
            except FileNotFoundError:
                return False
            return True

    def release(self, job_id: str, speaker: str) -> None:
        """For others to take."""
        if self.renew(job_id, speaker):
            (self._path(job_id) / _LEASE).unlink(missing_ok=True)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _status(self, head: JobHead, names: set[str], num_done: int) -> Status:
        if num_done == len(head.parts):
            return Status.DONE
        if _FAILED in names:
            return Status.FAILED
        if _CANCELLED in names:
            return Status.CANCELLED
        return Status.RUNNING if self._lease_age_s(head.id) <= LEASE_S else Status.QUEUED

    def _lease_age_s(self, job_id: str) -> float:
        """Seconds since its speaker's last sign of life; none is for ever ago."""
        try:
            return time.time() - (self._path(job_id) / _LEASE).stat().st_mtime
        except FileNotFoundError:
            return float("inf")

    def _left_s(self, head: JobHead, num_chars_done: int) -> float | None:
        """As fast as so far since it was sent: waiting for its turn counts, as it will for the rest."""
        if not num_chars_done:
            return None
        return (time.time() - head.created_s) / num_chars_done * (head.num_chars - num_chars_done)

    def _path(self, job_id: str) -> Path:
        assert is_id(job_id)
        return self._directory / job_id

    def _put(self, job_id: str, name: str, data: bytes) -> None:
        """By a temporary file beside it: nobody ever sees half of it. A job that was removed stays so."""
        path = self._path(job_id) / name
        temporary = path.with_name(f".{name}.{secrets.token_hex(4)}")
        with self._failing(), contextlib.suppress(FileNotFoundError):
            try:
                with temporary.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)

    def _json(self, job_id: str, name: str) -> dict[str, Any] | None:
        with self._failing():
            try:
                text = (self._path(job_id) / name).read_text(encoding="utf-8")
            except FileNotFoundError:
                return None
        found = json.loads(text)
        return found if isinstance(found, dict) else None

    def _reference(self, job_id: str) -> Recording | None:
        path = self._path(job_id) / _REFERENCE
        if not path.is_file():
            return None
        numbers = np.load(path, allow_pickle=False)
        return Recording(numbers[1:], int(numbers[0]))

    @contextmanager
    def _failing(self) -> Generator[None]:
        """A disk's errors as ours. The path is for the log, not for the caller."""
        try:
            yield
        except OSError as error:
            logger.error("the folder of jobs %s: %s", self._directory, error)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("There is no room where jobs are kept; delete jobs, or tell the operator.") from error
            message = "Where jobs are kept cannot be read or written now; try again later, or tell the operator."
            raise StorageFailed(message, retry_after_s=FULL_RETRY_AFTER_S) from error


def _name(index: int, suffix: str = "json") -> str:
    return f"part-{index:06}.{suffix}"
