"""Audio as a response body: the first chunk before the status line, the rest as it comes, a failure as a cut."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serve_app.audio.encoders import Encoder
from serve_app.errors import Overloaded, ServiceError
from serve_app.speech.request import AudioChunk

logger = logging.getLogger(__name__)

LATE_RETRY_AFTER_S = 10.0


async def begun_within(timeout_s: float, chunks: AsyncIterator[AudioChunk]) -> AsyncGenerator[AudioChunk]:
    """The same chunks. Raises `Overloaded` where the first takes longer, and leaves them: nobody listens any more."""
    try:
        async with asyncio.timeout(timeout_s):
            first = await anext(chunks)
    except TimeoutError:
        message = f"No audio within {timeout_s:g} s: the service has too much to do; try again."
        raise Overloaded(message, retry_after_s=LATE_RETRY_AFTER_S) from None
    yield first
    async for chunk in chunks:
        yield chunk


async def opened(chunks: AsyncIterator[AudioChunk]) -> AsyncGenerator[AudioChunk]:
    """The same chunks, once the first is here: a refusal is raised now, while a status can still be chosen."""
    return _rejoined(await anext(chunks), chunks)


async def _rejoined(first: AudioChunk, rest: AsyncIterator[AudioChunk]) -> AsyncGenerator[AudioChunk]:
    yield first
    async for chunk in rest:
        yield chunk


async def encoded(chunks: AsyncIterator[AudioChunk], encoder: Encoder) -> AsyncGenerator[bytes]:
    """Blocks of the encoded file; the first holds its header."""
    block = encoder.start()
    async for chunk in chunks:
        if block := block + encoder.encode(chunk.samples):
            yield block
        block = b""
    if block := block + encoder.finish():
        yield block


class StreamedResponse(Response):
    """Sends blocks as they come. An error leaves the body without its end, so that the client sees a cut transfer.

    `last_words` gives the block that is sent before, where the body's format has words for an error.
    """

    def __init__(
        self,
        blocks: AsyncIterator[bytes],
        *,
        media_type: str,
        headers: Mapping[str, str],
        last_words: Callable[[ServiceError], bytes] | None = None,
    ) -> None:
        self._blocks, self._last_words = blocks, last_words
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for block in self._blocks:
                await send({"type": "http.response.body", "body": block, "more_body": True})
        except ServiceError as error:
            request_id = scope.get("state", {}).get("request_id")
            logger.error("request %s was cut in mid-stream: %s: %s", request_id, error.code, error.message)
            if self._last_words is not None:
                await send({"type": "http.response.body", "body": self._last_words(error), "more_body": True})
            raise
        await send({"type": "http.response.body", "body": b"", "more_body": False})
