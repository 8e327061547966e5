"""API keys: a file of their hashes, read again when it changes, so that keys come and go without a restart.

A line a key: its name, the SHA-256 of the key in hexadecimal, and its limits where it has any:

    team-a HASH concurrency=8 per_minute=120
    operator HASH admin

A key with `admin` may use, change and delete the voices that other keys made.
Keys are long and random (`python -m serve_app new-key`), so a plain hash of one tells nothing.
"""

import hashlib
import logging
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from serve_app.errors import SettingsError

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0  # at the file
KEY_BYTES = 32
KEY_PREFIX = "xtts-"
_NAME, _HASH = re.compile(r"[A-Za-z0-9._-]{1,64}"), re.compile(r"[0-9a-f]{64}")
ADMIN = "admin"
_LIMITS = ("concurrency", "per_minute")


@dataclass(frozen=True)
class ApiKey:
    """Who it is, and how much it may ask of one ingress process; None is no limit."""

    name: str
    concurrency: int | None = None
    per_minute: int | None = None
    is_admin: bool = False


def new_key(name: str) -> tuple[str, str]:
    """A new key, which is shown once, and the line that lets it in. Raises `SettingsError` for an unfit name."""
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{name!r} cannot name a key: use letters, digits, dots, dashes and underscores")
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    return key, f"{name} {_hash(key)}"


class KeyRing:
    """The keys of a file."""

    def __init__(self, path: Path) -> None:
        """Raises `SettingsError` where the file cannot be read; later it keeps what it has and says so in the log."""
        self._path = path.expanduser()
        self._version = self._look()
        self._keys = self._read()
        if not self._keys:
            raise SettingsError(f"XTTS_API_KEYS_FILE: {self._path} has no keys: nobody could ask for anything")
        self._looked_s = time.monotonic()

    def find(self, key: str) -> ApiKey | None:
        if time.monotonic() - self._looked_s > LOOK_EVERY_S:
            self._refresh()
        return self._keys.get(_hash(key))

    def _refresh(self) -> None:
        self._looked_s = time.monotonic()
        try:
            version = self._look()
            if version != self._version:
                self._keys, self._version = self._read(), version
                logger.info("read %d API keys again", len(self._keys))
        except SettingsError as error:
            logger.error("the API keys stay as they were: %s", error.message)

    def _look(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()  # through the link that Kubernetes swaps when a secret changes
        except OSError as error:
            raise SettingsError(f"XTTS_API_KEYS_FILE: {self._path} cannot be read: {error.strerror}") from None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> dict[str, ApiKey]:
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"XTTS_API_KEYS_FILE: {self._path} cannot be read: {error}") from None
        keys: dict[str, ApiKey] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.partition("#")[0].split()
            if words:
                digest, key = _parse(words, f"{self._path}, line {number}")
                keys[digest] = key
        return keys


def _parse(words: list[str], where: str) -> tuple[str, ApiKey]:
    name, digest = words[0], words[1] if len(words) > 1 else ""
    if not _NAME.fullmatch(name) or not _HASH.fullmatch(digest):
        raise SettingsError(f"{where}: a line is a name and a SHA-256 in hexadecimal: `python -m serve_app new-key`")
    limits: dict[str, int] = {}
    options = words[2:]
    is_admin = ADMIN in options
    for option in options:
        if option == ADMIN:
            continue
        field, _, value = option.partition("=")
        if field not in _LIMITS or not value.isdecimal() or int(value) < 1:
            raise SettingsError(f"{where}: {option!r} is no limit such as concurrency=8 or per_minute=120")
        limits[field] = int(value)
    return digest, ApiKey(name, **limits, is_admin=is_admin)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
