"""One WebSocket of `/v1/audio/stream`: who reads, who speaks, who sends, and how it ends."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from serve_app.api.conductor import Conductor
from serve_app.api.deps import ApiState
from serve_app.api.errors import POLICY_VIOLATION
from serve_app.api.outbox import Outbox, Unread
from serve_app.api.stream_messages import BrokenJson, UnfitMessage, error_event, read_message
from serve_app.api.turns import default_language
from serve_app.api.utterance_queue import UtteranceQueue
from serve_app.api.voice_access import get_voice_access
from serve_app.errors import RateLimited, RequestError, ServiceError, UploadTooLarge
from serve_app.speech.request import ServiceStatus

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 8 * 1024 * 1024  # a recording in base64
LARGE_MESSAGE_CHARS = 256 * 1024  # beyond it, parsing would hold up other connections' audio
MESSAGES_PER_S, MAX_BURST = 200.0, 2_000.0
IDLE_TIMEOUT_S = 60.0  # without a message, theirs or ours
CLOSE_TIMEOUT_S = 5.0  # for what is still to be sent

# RFC 6455, 7.4.1, and the registry it founds
IDLE, NOT_TEXT, NOT_JSON, TOO_BIG, BROKEN, RESTART = 1000, 1003, 1007, 1009, 1011, 1012


@dataclass(frozen=True)
class Closing:
    """How a connection ends, with what is said before."""

    code: int
    reason: str
    error: ServiceError | None = None


class Connection:
    """From the accepted handshake to the end."""

    def __init__(self, websocket: WebSocket, state: ApiState, facts: ServiceStatus) -> None:
        shared = websocket.scope["state"]
        self._websocket, self._draining = websocket, state.connections.draining
        self._outbox = Outbox(websocket)
        max_chars = state.settings.max_text_chars
        self._queue = UtteranceQueue(default_language(facts), max_chars, shared.get("visitor"))
        self._conductor = Conductor(
            state,
            facts,
            get_voice_access(websocket),
            self._outbox,
            handshake=shared["observation"],
            records=shared["records"],
            headers=websocket.headers,
        )
        self._credit, self._counted_s = MAX_BURST, time.monotonic()

    async def run(self) -> None:
        """Returns when the connection is closed and nothing of it is spoken any more."""
        sender = asyncio.create_task(self._outbox.send_all())
        conductor = asyncio.create_task(self._conductor.perform_all(self._queue))
        reader = asyncio.create_task(self._read())
        drain = asyncio.create_task(self._drain())
        try:
            await asyncio.wait({sender, conductor, reader}, return_when=asyncio.FIRST_COMPLETED)
            closing = _closing(reader, conductor, sender)
            await _ended(reader, conductor, drain)
            with suppress(TimeoutError, WebSocketDisconnect):
                if closing is not None:
                    await asyncio.wait_for(self._say_goodbye(closing), CLOSE_TIMEOUT_S)
        finally:
            await _ended(reader, conductor, drain, sender)
            self._queue.stop_all()

    async def _drain(self) -> None:
        await self._draining.wait()
        self._queue.drain()

    async def _read(self) -> Closing | None:
        """Takes messages as they come, so that a cancel or a departure is met at once. None: the client has left."""
        while True:
            try:
                async with asyncio.timeout(IDLE_TIMEOUT_S):
                    message = await self._websocket.receive()
            except TimeoutError:
                if time.monotonic() - self._outbox.last_sent_s >= IDLE_TIMEOUT_S:
                    return Closing(IDLE, "idle")
                continue
            if message["type"] == "websocket.disconnect":
                return None
            if (closing := await self._take(message.get("text"))) is not None:
                return closing

    async def _take(self, data: str | None) -> Closing | None:
        """One message. What breaks the protocol closes the connection."""
        if data is None:
            return _refused(NOT_TEXT, RequestError("A binary message was sent; send JSON in text messages."))
        if len(data) > MAX_MESSAGE_BYTES:
            limit = MAX_MESSAGE_BYTES // 1024 // 1024
            return _refused(TOO_BIG, UploadTooLarge(f"A message may have {limit} MiB; send a shorter recording."))
        if not self._is_in_time():
            return _refused(POLICY_VIOLATION, RateLimited(f"Send at most {MESSAGES_PER_S:.0f} messages a second."))
        is_large = len(data) > LARGE_MESSAGE_CHARS
        try:
            message = await asyncio.to_thread(read_message, data) if is_large else read_message(data)
            answer = self._queue.handle(message)
        except BrokenJson as error:
            return _refused(NOT_JSON, error)
        except UnfitMessage as error:
            answer = self._queue.refuse(error)
        try:
            if answer is not None:
                self._outbox.notify(answer)
        except Unread:
            return Closing(POLICY_VIOLATION, "read what is sent")
        return None

    def _is_in_time(self) -> bool:
        now_s = time.monotonic()
        self._credit = min(MAX_BURST, self._credit + (now_s - self._counted_s) * MESSAGES_PER_S)
        self._counted_s = now_s
        self._credit -= 1.0
        return self._credit >= 0.0

    async def _say_goodbye(self, closing: Closing) -> None:
        if closing.error is not None:
            with suppress(Unread):
                self._outbox.notify(error_event(closing.error, None))
        await self._outbox.emptied()
        await self._websocket.close(closing.code, closing.reason)


def _refused(code: int, error: ServiceError) -> Closing:
    return Closing(code, error.code, error)


def _closing(
    reader: "asyncio.Task[Closing | None]", conductor: "asyncio.Task[None]", sender: "asyncio.Task[None]"
) -> Closing | None:
    """None where there is nobody to say it to."""
    for task in (reader, conductor, sender):
        error = task.exception() if task.done() else None
        if error is not None and not isinstance(error, WebSocketDisconnect):
            logger.error("a connection failed in a way that nobody foresaw", exc_info=error)
    if sender.done():
        return None
    if reader.done():
        return Closing(BROKEN, "internal_error") if reader.exception() else reader.result()
    return Closing(BROKEN, "internal_error") if conductor.exception() else Closing(RESTART, "the service is stopping")


async def _ended(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
