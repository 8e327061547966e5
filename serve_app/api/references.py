"""Reference recordings of requests, decoded away from the event loop and remembered while they are hot.

Knows nothing of voices: the engine's own cache keeps what is encoded from a recording.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable

from serve_app.audio.decode import file_of_base64
from serve_app.audio.guarded import GuardedDecoder
from serve_app.audio.pcm import Recording
from serve_app.errors import Overloaded

CACHE_BYTES = 64 * 1024 * 1024
MAX_AT_ONCE = 2  # a decoded recording takes up to a hundred megabytes
MAX_WAITING = 64  # recordings that wait for one of them
BUSY_RETRY_AFTER_S = 2.0


class ReferenceDecoder:
    """Decodes uploads; the last `cache_bytes` of decoded samples are kept by a hash of what was sent."""

    def __init__(self, max_upload_bytes: int, cache_bytes: int = CACHE_BYTES) -> None:
        self._max_upload_bytes = max_upload_bytes
        self._cache_bytes = cache_bytes
        self._num_cached_bytes = self._num_waiting = 0
        self._recordings: OrderedDict[bytes, Recording] = OrderedDict()
        self._free: asyncio.LifoQueue[GuardedDecoder] = (
            asyncio.LifoQueue()
        )  # so that one child serves where one is enough
        for _ in range(MAX_AT_ONCE):
            self._free.put_nowait(GuardedDecoder())

    async def decode(self, data: bytes, field: str) -> Recording:
        """An uploaded file; refuses with a `RequestError` that names `field`."""
        return await self._remembered(b"file", data, field, lambda: data)

    async def decode_base64(self, text: str, field: str) -> Recording:
        """A file in base64; refuses with a `RequestError` that names `field`."""
        return await self._remembered(
            b"base64",
            text.encode("utf-8", "surrogatepass"),
            field,
            lambda: file_of_base64(text, max_bytes=self._max_upload_bytes, field=field),
        )

    async def _remembered(self, kind: bytes, sent: bytes, field: str, file: Callable[[], bytes]) -> Recording:
        key = await asyncio.to_thread(lambda: kind + hashlib.sha256(sent).digest())
        if (recording := self._recall(key)) is not None:
            return recording
        if self._num_waiting >= MAX_WAITING:
            raise Overloaded("Too many recordings at once; try again in a moment.", retry_after_s=BUSY_RETRY_AFTER_S)
        self._num_waiting += 1
        try:
            decoder = await self._free.get()
        finally:
            self._num_waiting -= 1
        if (recording := self._recall(key)) is not None:  # another request has decoded it meanwhile
            self._free.put_nowait(decoder)
            return recording
        decoding = asyncio.create_task(
            asyncio.to_thread(lambda: decoder.decode(file(), max_bytes=self._max_upload_bytes, field=field))
        )

        def give_back(task: asyncio.Task[Recording]) -> None:
            self._free.put_nowait(decoder)
            if not task.cancelled():
                task.exception()  # seen: whoever asked may have left

        decoding.add_done_callback(give_back)
        recording = await asyncio.shield(decoding)  # a thread cannot be stopped, so its decoder is busy until it ends
        self._keep(key, recording)
        return recording

    def _recall(self, key: bytes) -> Recording | None:
        if (recording := self._recordings.get(key)) is not None:
            self._recordings.move_to_end(key)
        return recording

    def _keep(self, key: bytes, recording: Recording) -> None:
        if key in self._recordings or recording.samples.nbytes > self._cache_bytes:
            return
        recording.samples.setflags(write=False)  # shared by requests
        self._recordings[key] = recording
        self._num_cached_bytes += recording.samples.nbytes
        while self._num_cached_bytes > self._cache_bytes:
            _, oldest = self._recordings.popitem(last=False)
            self._num_cached_bytes -= oldest.samples.nbytes
