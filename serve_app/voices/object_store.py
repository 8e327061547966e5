"""Voices in a bucket of S3, Google Cloud Storage, Azure or what speaks like them, shared by all replicas.

Reads wait for two seconds at most, latents are written in the background, and a store that fails is left alone for a
while, so that speech never fails of it and is hardly late. What users made is written while they wait, and they are
told what fails. Credentials, region and endpoint come from the environment, as obstore reads it.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError, PermissionDeniedError
from obstore.store import from_url

from serve_app.errors import SettingsError
from serve_app.voices.storage import StoredFile, VoiceFileError, check_size, storage_error

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import RetryConfig

Result = TypeVar("Result")

READ_TIMEOUT_S = 2.0  # with its retry: a request waits for it
WRITE_TIMEOUT_S = 10.0
LIST_TIMEOUT_S = 10.0
PAUSE_S = 30.0  # that a store is left alone after it failed
MAX_WAITING_WRITES = 64  # about 9 MB
CLOSING_S = 5.0  # for the writes that still wait

_RETRIES: "RetryConfig" = {
    "max_retries": 1,
    "retry_timeout": timedelta(seconds=READ_TIMEOUT_S / 2),
    "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(milliseconds=200), "base": 2},
}
# What a server sends and what stands in an address besides its path may hold credentials.
_BODY = re.compile(r"(status code: \d{3}[\w ]*).*")
_USER_OR_QUERY = re.compile(r"(?<=://)[^/\s]*@|\?\S*")
_MAX_REASON_CHARS = 300

logger = logging.getLogger(__name__)


class ObjectStore:
    """A `Storage`. All requests are made on the event loop of one thread of its own; `clock` is in seconds."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`url` is one that `Settings.voice_url` lets through. Asks nothing of the store yet.

        Raises SettingsError where the environment does not suit it.
        """
        # Options for obstore's HTTP client would take the place of those in the environment, AWS_ALLOW_HTTP among
        # them: hence deadlines of our own.
        try:
            self._store = from_url(url, retry_config=_RETRIES)
        except (BaseError, ValueError, OSError) as error:
            raise SettingsError(f"XTTS_VOICE_URL={url} cannot be used: {_reason(error)}") from None
        self._url = url
        self._breaker = Breaker(clock)
        self._has_been_refused = self._is_closed = False
        self._writes: set[concurrent.futures.Future[None]] = set()
        self._lock = threading.Lock()
        self._turn, self._end = asyncio.Lock(), asyncio.Event()
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._run, name="voices in the object store", daemon=True)
        self._thread.start()

    def __str__(self) -> str:
        return f"the object store {self._url}"

    def read(self, name: str) -> bytes | None:
        with self._lock:
            if self._is_closed or not self._breaker.lets_through():
                return None
            found = asyncio.run_coroutine_threadsafe(self._get(name), self._loop)
        try:
            return found.result()
        except concurrent.futures.CancelledError:  # closed meanwhile
            return None

    def write(self, name: str, data: bytes) -> None:
        with self._lock:
            if self._is_closed:
                return
            is_behind = len(self._writes) >= MAX_WAITING_WRITES
            if not is_behind:
                write = asyncio.run_coroutine_threadsafe(self._put(name, data), self._loop)
                self._writes.add(write)
        if is_behind:
            logger.warning("%s is behind with %d voices: %s is not kept", self, MAX_WAITING_WRITES, name)
        else:
            write.add_done_callback(self._forget)  # without the lock: what is done by now is forgotten right here

    def fetch(self, name: str, max_bytes: int | None = None) -> StoredFile | None:
        return self._answered("read", READ_TIMEOUT_S, self._fetch(name, max_bytes))

    def version(self, name: str) -> str | None:
        return self._answered("read", READ_TIMEOUT_S, self._version(name))

    def versions(self, folder: str) -> dict[str, str]:
        return self._answered("read", LIST_TIMEOUT_S, self._versions(folder))

    def put(self, name: str, data: bytes, *, is_new: bool) -> bool:
        return self._answered("written", WRITE_TIMEOUT_S, self._put_whole(name, data, is_new))

    def delete(self, name: str) -> None:
        self._answered("written", WRITE_TIMEOUT_S, self._delete(name))

    def close(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            waiting = set(self._writes)
        late = concurrent.futures.wait(waiting, CLOSING_S).not_done
        if late:
            logger.warning("%s did not take %d voices in time: they are not kept", self, len(late))
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _answered(self, what: str, timeout_s: float, question: Coroutine[Any, Any, Result]) -> Result:
        """What the store answers to who has to know. Raises StorageFailed, and VoiceFileError."""
        with self._lock:
            if self._is_closed or not self._breaker.lets_through():
                question.close()
                raise storage_error(self, what, "it is left alone for a while after it failed, or closed")
            answer = asyncio.run_coroutine_threadsafe(_within(timeout_s, question), self._loop)
        try:
            found = answer.result()
        except concurrent.futures.CancelledError:
            raise storage_error(self, what, "it was closed meanwhile") from None
        except VoiceFileError:
            self._succeeded()
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, who asked is told)
            reason = f"no answer in {timeout_s:g} s" if isinstance(error, TimeoutError) else _reason(error)
            if isinstance(error, (PermissionDeniedError, NotSupportedError)):  # it does answer
                self._succeeded()
            else:
                self._failed("read" if what == "read" else "write", timeout_s, error)
            raise storage_error(self, what, reason) from None
        self._succeeded()
        return found

    async def _fetch(self, name: str, max_bytes: int | None) -> StoredFile | None:
        try:
            found = await obstore.get_async(
                self._store, name, options={"range": (0, max_bytes)} if max_bytes is not None else None
            )
            check_size(found.meta["size"])
            return StoredFile(bytes(await found.bytes_async()), _version(found.meta), found.meta["size"])
        except FileNotFoundError:
            return None
        except PermissionDeniedError as error:
            self._was_refused(error)
            return None

    async def _version(self, name: str) -> str | None:
        try:
            return _version(await obstore.head_async(self._store, name))
        except FileNotFoundError:
            return None
        except PermissionDeniedError as error:
            self._was_refused(error)
            return None

    async def _versions(self, folder: str) -> dict[str, str]:
        found: dict[str, str] = {}
        async for some in obstore.list(self._store, f"{folder}/", chunk_size=1_000):
            found |= {f"{folder}/{meta['path'].rpartition('/')[2]}": _version(meta) for meta in some}
        return found

    async def _put_whole(self, name: str, data: bytes, is_new: bool) -> bool:
        try:
            await obstore.put_async(
                self._store, name, data, mode="create" if is_new else "overwrite", use_multipart=False
            )
        except AlreadyExistsError:
            return False
        return True

    async def _delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, name)

    def _run(self) -> None:
        with self._runner:  # which cancels what still runs at its end
            self._runner.run(self._end.wait())

    def _forget(self, write: "concurrent.futures.Future[None]") -> None:
        with self._lock:
            self._writes.discard(write)

    async def _get(self, name: str) -> bytes | None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                found = await obstore.get_async(self._store, name)
                check_size(found.meta["size"])
                data = bytes(await found.bytes_async())
        except FileNotFoundError:
            self._succeeded()
            return None
        except VoiceFileError:
            self._succeeded()
            raise
        except PermissionDeniedError as error:
            self._was_refused(error)
            return None
        except Exception as error:  # noqa: BLE001 (whatever it is, the voice can be encoded anew)
            self._failed("read", READ_TIMEOUT_S, error)
            return None
        self._succeeded()
        return data

    async def _put(self, name: str, data: bytes) -> None:
        async with self._turn:
            if not self._breaker.lets_through():
                return
            try:
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await obstore.put_async(self._store, name, data, use_multipart=False)
            except Exception as error:  # noqa: BLE001 (whatever it is, another replica encodes the voice again)
                self._failed("write", WRITE_TIMEOUT_S, error)
            else:
                self._succeeded()

    def _was_refused(self, error: PermissionDeniedError) -> None:
        """S3 and Google answer 403 for what is absent to who may read but not list: no failure, or it would never fill.

        Who may do nothing at all learns it from the write that follows.
        """
        self._breaker.undecided()
        if not self._has_been_refused:
            self._has_been_refused = True
            logger.warning(
                "%s refuses a read (%s). Without the right to list that may only mean that there is no such voice; "
                "if voices are written and never found, it is the right to read that lacks. This is said once.",
                self,
                _reason(error),
            )

    def _succeeded(self) -> None:
        if self._breaker.succeeded():
            logger.info("%s answers again", self)

    def _failed(self, what: str, timeout_s: float, error: Exception) -> None:
        if self._breaker.failed():
            reason = f"no answer in {timeout_s:g} s" if isinstance(error, TimeoutError) else _reason(error)
            logger.warning(
                "%s failed a %s and is left alone for %g s, while new voices are encoded by each replica: %s",
                self,
                what,
                PAUSE_S,
                reason,
            )


class Breaker:
    """After a failure it lets nobody through for `PAUSE_S`, then one, whose luck decides. Thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._opens_s: float | None = None  # None: all may pass
        self._is_probing = False
        self._lock = threading.Lock()

    def lets_through(self) -> bool:
        """Who is let through says afterwards whether it `succeeded` or `failed`, or that it is `undecided`."""
        with self._lock:
            if self._opens_s is None:
                return True
            if self._clock() < self._opens_s:
                return False
            self._opens_s = self._clock() + PAUSE_S
            self._is_probing = True
            return True

    def succeeded(self) -> bool:
        """Whether this ends a pause."""
        with self._lock:
            was_pausing = self._opens_s is not None
            self._opens_s, self._is_probing = None, False
            return was_pausing

    def undecided(self) -> None:
        """Ends no pause, be it under way since before; the next is let through where this one was to decide."""
        with self._lock:
            if self._is_probing:
                self._opens_s, self._is_probing = self._clock(), False

    def failed(self) -> bool:
        """Whether this begins a pause; False for others that were under way when it began."""
        with self._lock:
            is_first = self._opens_s is None or self._is_probing
            if is_first:
                self._opens_s, self._is_probing = self._clock() + PAUSE_S, False
            return is_first


async def _within(timeout_s: float, question: Coroutine[Any, Any, Result]) -> Result:
    async with asyncio.timeout(timeout_s):
        return await question


def _version(meta: "ObjectMeta") -> str:
    return f"{meta['e_tag']}.{meta['last_modified'].timestamp()}.{meta['size']}"


def _reason(error: Exception) -> str:
    """The first line of an error of obstore, fit for a log."""
    first_line = next(iter(str(error).splitlines()), type(error).__name__)
    return _USER_OR_QUERY.sub("", _BODY.sub(r"\1", first_line))[:_MAX_REASON_CHARS]
