"""Files that are there whole or not at all, and a disk's errors as ours. Knows no job."""

import contextlib
import errno
import logging
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from serve_app.errors import JobNotFound, StorageFailed, StorageFull

RETRY_AFTER_S = 5.0
TEMPORARY_SUFFIX = ".partial"

_FULL = (errno.ENOSPC, errno.EDQUOT)

logger = logging.getLogger(__name__)


@contextmanager
def storage_errors(where: Path) -> Generator[None]:
    """Raises StorageFull, StorageFailed, or JobNotFound for what is not there. The path is for the log alone."""
    try:
        yield
    except FileNotFoundError:
        raise JobNotFound("This job was removed.", field="id") from None
    except OSError as error:
        logger.error("where jobs are kept, %s: %s", where, error.strerror or error)
        if error.errno in _FULL:
            raise full() from error
        message = "Where jobs are kept cannot be read or written now; try again later, or tell the service's operator."
        raise StorageFailed(message, retry_after_s=RETRY_AFTER_S) from error


def full() -> StorageFull:
    return StorageFull("There is no room where jobs are kept; delete jobs, or tell the service's operator.")


def write_whole(path: Path, data: bytes, *, is_kept: bool = True) -> None:
    """By a temporary file beside it. The folder has to be there. `is_kept`: also when the machine loses its power.

    Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            if is_kept:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
