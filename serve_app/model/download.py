"""Fetches the published XTTS v2 checkpoint from its hub: resumable, checksums verified.

Knows the hub's repository and files, not what is in them. A directory verified once needs no network again.
"""

import errno
import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
from filelock import FileLock
from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, LocalTokenNotFoundError, OfflineModeIsEnabled
from huggingface_hub.file_download import http_get
from huggingface_hub.utils._headers import build_hf_headers
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from serve_app.errors import CheckpointError

logger = logging.getLogger(__name__)

Progress = Callable[[str], None]

# The repository that coqui-tts 0.28's TTS/.models.json names; coqui/XTTS-v2 is its historical address.
REPOSITORY = "tts-hub/XTTS-v2"
REVISION = "main"
FILES = ("config.json", "vocab.json", "speakers_xtts.pth", "model.pth")
TRAINING_FILES = (*FILES, "dvae.pth", "mel_stats.pth")  # what XTTS learns on by, besides
MANIFEST = "verified.json"
BLOCK_BYTES = 1 << 20
PROGRESS_STEP = 0.05
FULL_DISK = {errno.ENOSPC, errno.EDQUOT}
HASHES = {64: "sha256", 40: "sha1"}  # by the length of the hub's ETag: large files, and git blobs


@dataclass(frozen=True)
class RemoteFile:
    """A file on the hub. `etag` is its SHA-256 where it is stored as a large file, else its git blob id."""

    name: str
    url: str
    etag: str
    size_bytes: int


def fetch_checkpoint(
    directory: Path,
    progress: Progress,
    *,
    files: tuple[str, ...] = FILES,
    repository: str = REPOSITORY,
    endpoint: str | None = None,
) -> Path:
    """Bring the published checkpoint into `directory` and return it. One process at a time; the others wait for it.

    `files`: FILES, or TRAINING_FILES where it is to be fine-tuned.

    An interrupted file stays as `NAME.ETAG.partial` and is continued by the next call. Each file's content is compared
    with the hub's SHA-256 (or git blob id) before it gets its name. `endpoint` None takes HF_ENDPOINT or the public
    hub. Raises CheckpointError where the hub cannot be reached, lacks a file, or a checksum differs, and where the
    directory cannot be written or has not the room.
    """
    if is_complete(directory, files):
        return directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(directory / ".lock"):
            if not is_complete(directory, files):
                _fetch_all([_look_up(repository, name, endpoint) for name in files], directory, progress)
    except (EntryNotFoundError, LocalTokenNotFoundError) as error:
        raise CheckpointError(
            f"the hub has no whole XTTS v2 under {repository}: {_one_line(error)}. "
            "Give a checkpoint directory as XTTS_MODEL instead."
        ) from error
    except (httpx2.HTTPError, OfflineModeIsEnabled, OSError) as error:
        is_disk = isinstance(error, OSError) and (error.filename is not None or error.errno in FULL_DISK)
        advice = _disk_advice(directory, error) if is_disk else _offline_advice(repository, directory, error)
        raise CheckpointError(advice) from error
    return directory


def _fetch_all(remote_files: list[RemoteFile], directory: Path, progress: Progress) -> None:
    num_missing = sum(remote.size_bytes - _num_bytes_here(remote, directory) for remote in remote_files)
    if num_missing > (num_free := shutil.disk_usage(directory).free):
        raise OSError(errno.ENOSPC, f"{_megabytes(num_missing)} are still to come, and {_megabytes(num_free)} are free")
    for remote in remote_files:
        _fetch(remote, directory, progress)
    manifest = {remote.name: {"etag": remote.etag, "size_bytes": remote.size_bytes} for remote in remote_files}
    partial = directory / f"{MANIFEST}.partial"
    partial.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    partial.replace(directory / MANIFEST)


def _num_bytes_here(remote: RemoteFile, directory: Path) -> int:
    candidates = (directory / remote.name, _partial_path(remote, directory))
    return max(min(path.stat().st_size, remote.size_bytes) if path.is_file() else 0 for path in candidates)


def _partial_path(remote: RemoteFile, directory: Path) -> Path:
    return directory / f"{remote.name}.{remote.etag[:16]}.partial"


def is_complete(directory: Path, files: tuple[str, ...] = FILES) -> bool:
    """Whether an earlier call finished here and every file still has the size it had."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        sizes = {name: entry["size_bytes"] for name, entry in manifest.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return set(sizes) >= set(files) and all(
        (directory / name).is_file() and (directory / name).stat().st_size == size for name, size in sizes.items()
    )


def _offline_advice(repository: str, directory: Path, error: Exception) -> str:
    return (
        f"xtts_v2 could not be fetched from the hub ({repository}): {_one_line(error)}. What has arrived is kept in "
        f"{directory} and continued next time. Check the network and the proxy, set HF_ENDPOINT to a mirror, or copy "
        f"{', '.join(FILES)} into a directory and give that as XTTS_MODEL."
    )


def _disk_advice(directory: Path, error: Exception) -> str:
    return (
        f"xtts_v2 cannot be stored in {directory}: {_one_line(error)}. What has arrived is kept and continued next "
        "time. Make room there, or give a directory that can be written as XTTS_MODEL_CACHE."
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _look_up(repository: str, name: str, endpoint: str | None) -> RemoteFile:
    url = hf_hub_url(repository, name, revision=REVISION, endpoint=endpoint)
    metadata = get_hf_file_metadata(url, endpoint=endpoint)
    if metadata.etag is None or metadata.size is None or len(metadata.etag) not in HASHES:
        raise CheckpointError(
            f"the hub gives no checksum or size for {name} of {repository}, so it cannot be verified. "
            "Unset HF_ENDPOINT or use another mirror."
        )
    return RemoteFile(name=name, url=url, etag=metadata.etag, size_bytes=metadata.size)


def _fetch(remote: RemoteFile, directory: Path, progress: Progress) -> None:
    target = directory / remote.name
    partial = _partial_path(remote, directory)
    if target.is_file() and target.stat().st_size == remote.size_bytes and file_checksum(target, remote) == remote.etag:
        return
    if partial.is_file() and partial.stat().st_size > remote.size_bytes:
        partial.unlink()
    with partial.open("ab") as file:
        num_have = file.tell()
        continued = f", continued at {_megabytes(num_have)}" if num_have else ""
        progress(f"fetching {remote.name} ({_megabytes(remote.size_bytes)}{continued})")
        http_get(
            remote.url,
            file,
            resume_size=num_have,
            headers={**build_hf_headers(), "Accept-Encoding": "identity"},
            expected_size=remote.size_bytes,
            displayed_filename=remote.name,
            tqdm_class=_reporting(remote, progress),
        )
    progress(f"verifying {remote.name}")
    if (actual := file_checksum(partial, remote)) != remote.etag:
        partial.unlink()
        raise CheckpointError(
            f"{remote.name} arrived damaged: its checksum is {actual}, the hub's is {remote.etag}. "
            "It has been removed; start again to fetch it anew."
        )
    partial.replace(target)


def file_checksum(path: Path, remote: RemoteFile) -> str:
    """The file's SHA-256, or its git blob id (SHA-1 over a header and the content), whichever the hub's ETag is."""
    digest = hashlib.new(HASHES[len(remote.etag)], usedforsecurity=False)
    if len(remote.etag) == 40:
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _reporting(remote: RemoteFile, progress: Progress) -> type[tqdm]:
    """A progress bar class that says one line every 5 % and draws nothing."""

    class Reporter(tqdm):  # type: ignore[misc]
        def __init__(self, *args: object, **kwargs: object) -> None:
            self._num_bytes = int(str(kwargs.get("initial") or 0))
            self._num_said = self._num_bytes
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self._num_bytes += int(n or 0)
            if self._num_bytes - self._num_said >= PROGRESS_STEP * remote.size_bytes:
                self._num_said = self._num_bytes
                share = self._num_bytes / remote.size_bytes
                progress(f"fetching {remote.name}: {share:.0%} of {_megabytes(remote.size_bytes)}")

    return Reporter


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.0f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:,.1f} kB"
