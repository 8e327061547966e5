"""Where voices outlive a process: files of bytes by name, which processes may share. Knows no model and no cache.

For encoded voices a storage is a convenience: what it cannot `read` is encoded anew, what it cannot `write` is lost,
and it raises for neither, but logs both as often as is of use. What users made is for the other methods, which raise.
"""

import contextlib
import errno
import logging
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from serve_app.errors import ServiceError, StorageFailed, StorageFull
from serve_app.settings import Settings

MAX_FILE_BYTES = 16 * 1024 * 1024  # a voice takes 140 kB: what is larger is none, and is not read into memory
TEMPORARY_SUFFIX = ".partial"
RETRY_AFTER_S = 5.0

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_HARD_LINKS = (
    errno.EPERM,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EMLINK,
)  # of some shared file systems

logger = logging.getLogger(__name__)


class VoiceFileError(ValueError):
    """A file that is not a whole, well-formed voice. No caller of the service sees it."""


@dataclass(frozen=True)
class StoredFile:
    """A file's bytes, or its first ones, and its version: another one where anything of it has changed."""

    data: bytes
    version: str
    num_bytes: int  # of the whole file


class Storage(Protocol):
    """Used from several threads. Its text, `str(storage)`, is what logs call it; it holds no credentials.

    A name is `FILE` or `FOLDER/FILE`, of letters, digits, dots, dashes and underscores.
    """

    def read(self, name: str) -> bytes | None:
        """The file, or None where it is absent or cannot be read. Blocks for two seconds at most, or a disk's time.

        Raises VoiceFileError for one over `MAX_FILE_BYTES`.
        """

    def write(self, name: str, data: bytes) -> None:
        """Writes the file whole or not at all, perhaps later; of two writers the last one wins."""

    def fetch(self, name: str, max_bytes: int | None = None) -> StoredFile | None:
        """The file, or its first `max_bytes`; None where it is absent.

        Raises StorageFailed, and VoiceFileError for one over `MAX_FILE_BYTES`.
        """

    def version(self, name: str) -> str | None:
        """As `fetch` gives it; None where the file is absent. Raises StorageFailed."""

    def versions(self, folder: str) -> dict[str, str]:
        """The names, `FOLDER/FILE`, and versions of all files in a folder. Raises StorageFailed."""

    def put(self, name: str, data: bytes, *, is_new: bool) -> bool:
        """Writes the file whole or not at all. False, and nothing is written, if it has to be new and is not.

        Raises StorageFailed or StorageFull.
        """

    def delete(self, name: str) -> None:
        """Nothing where the file is absent. Raises StorageFailed."""

    def close(self) -> None:
        """Ends what runs in the background; what is not written by then is lost."""


class Directory:
    """Files in a directory, which processes may share."""

    def __init__(self, path: Path) -> None:
        self._path = path.expanduser()

    def __str__(self) -> str:
        return f"the directory {self._path}"

    def read(self, name: str) -> bytes | None:
        try:
            with (self._path / name).open("rb") as file:
                check_size(os.fstat(file.fileno()).st_size)
                return file.read(MAX_FILE_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("the voice file %s cannot be read and is made anew: %s", self._path / name, error)
            return None

    def write(self, name: str, data: bytes) -> None:
        try:
            _write_whole(self._path / name, data, is_new=False)
        except OSError as error:
            logger.warning(
                "the voice file %s cannot be written, so a restart encodes the voice again: %s",
                self._path / name,
                error,
            )

    def fetch(self, name: str, max_bytes: int | None = None) -> StoredFile | None:
        with self._failures("read"):
            try:
                with (self._path / name).open("rb") as file:
                    found = os.fstat(file.fileno())
                    check_size(found.st_size)
                    data = file.read(MAX_FILE_BYTES if max_bytes is None else max_bytes)
                    return StoredFile(data, _version(found), found.st_size)
            except FileNotFoundError:
                return None

    def version(self, name: str) -> str | None:
        with self._failures("read"):
            try:
                return _version((self._path / name).stat())
            except FileNotFoundError:
                return None

    def versions(self, folder: str) -> dict[str, str]:
        found = {}
        with self._failures("read"), contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._path / folder):
                if not entry.name.startswith("."):
                    with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                        found[f"{folder}/{entry.name}"] = _version(entry.stat())
        return found

    def put(self, name: str, data: bytes, *, is_new: bool) -> bool:
        with self._failures("written"):
            return _write_whole(self._path / name, data, is_new=is_new)

    def delete(self, name: str) -> None:
        with self._failures("written"):
            (self._path / name).unlink(missing_ok=True)

    def close(self) -> None:
        pass

    @contextmanager
    def _failures(self, what: str) -> Generator[None]:
        """A disk's errors as ours. The path is for the log, not for the caller."""
        try:
            yield
        except OSError as error:
            raise storage_error(self, what, error.strerror or str(error), is_full=error.errno in _FULL) from error


def open_storage(settings: Settings) -> Storage:
    """The directory, or the bucket. Raises SettingsError where the environment does not suit it."""
    if not settings.voice_url:
        return Directory(settings.voice_dir)
    from serve_app.voices.object_store import ObjectStore  # where it is not used, its library need not be loaded

    return ObjectStore(settings.voice_url)


def storage_error(storage: Storage, what: str, reason: str, *, is_full: bool = False) -> ServiceError:
    """For who made or asks for a voice; the log has where it is."""
    logger.error("%s cannot be %s: %s", storage, what, reason)
    if is_full:
        return StorageFull("There is no room where voices are kept; delete voices, or tell the service's operator.")
    return StorageFailed(
        f"Where voices are kept cannot be {what} now; try again later, or tell the service's operator.",
        retry_after_s=RETRY_AFTER_S,
    )


def check_size(num_bytes: int) -> None:
    """Raises VoiceFileError for what is too large for a voice."""
    if num_bytes > MAX_FILE_BYTES:
        raise VoiceFileError(f"it has {num_bytes} bytes, and no voice has more than {MAX_FILE_BYTES}")


def _version(found: os.stat_result) -> str:
    return f"{found.st_ino}.{found.st_mtime_ns}.{found.st_size}"


def _write_whole(path: Path, data: bytes, *, is_new: bool) -> bool:
    """By a temporary file beside `path`, which then gets its name: nobody ever sees half of it.

    False where the name is taken, if it has to be new. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if not is_new:
            temporary.replace(path)
            return True
        return _name_new(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _name_new(temporary: Path, path: Path) -> bool:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        try:
            path.touch(exist_ok=False)  # the name is ours; who reads it right now finds a damaged voice
        except FileExistsError:
            return False
        temporary.replace(path)
    return True
