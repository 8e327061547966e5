"""Where encoded voices outlive a process: files of bytes by name. Knows no model and no cache.

A storage is a convenience: what it cannot read is encoded anew, and what it cannot write is lost. So it raises
for neither, and logs both itself, as often as is of use.
"""

import contextlib
import logging
import os
import secrets
from pathlib import Path
from typing import Protocol

from serve_app.voices.voice import VoiceFileError

MAX_FILE_BYTES = 16 * 1024 * 1024  # a voice takes 140 kB: what is larger is none, and is not read into memory
TEMPORARY_SUFFIX = ".partial"

logger = logging.getLogger(__name__)


class Storage(Protocol):
    """Used from several threads. Its text, `str(storage)`, is what logs call it; it holds no credentials."""

    def read(self, name: str) -> bytes | None:
        """The file, or None where it is absent or cannot be read. Blocks for two seconds at most, or a disk's time.

        Raises VoiceFileError for one over `MAX_FILE_BYTES`.
        """

    def write(self, name: str, data: bytes) -> None:
        """Writes the file whole or not at all, perhaps later; of two writers the last one wins."""

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
            self._path.mkdir(parents=True, exist_ok=True)
            _replace(self._path / name, data)
        except OSError as error:
            logger.warning(
                "the voice file %s cannot be written, so a restart encodes the voice again: %s",
                self._path / name,
                error,
            )

    def close(self) -> None:
        pass


def check_size(num_bytes: int) -> None:
    """Raises VoiceFileError for what is too large for a voice."""
    if num_bytes > MAX_FILE_BYTES:
        raise VoiceFileError(f"it has {num_bytes} bytes, and no voice has more than {MAX_FILE_BYTES}")


def _replace(path: Path, data: bytes) -> None:
    """By a temporary file beside `path`, which is then renamed: nobody ever sees half of it. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
