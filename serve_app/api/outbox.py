"""What waits to be sent on one WebSocket, in order. Speech waits for room in it; answers to a reader never do."""

import asyncio
import json
import time
from typing import Any

from starlette.websockets import WebSocket

MAX_EVENTS = 8  # of speech, each with its audio
MAX_NOTICES = 100  # answers that a client has not read yet


class Unread(Exception):
    """The client sends and does not read."""


class Outbox:
    """One connection's sending side."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._waiting: asyncio.Queue[tuple[str, bytes, bool]] = asyncio.Queue()
        self._room = asyncio.Semaphore(MAX_EVENTS)
        self.last_sent_s = time.monotonic()

    async def put(self, event: dict[str, Any], audio: bytes = b"") -> None:
        """An event, and the binary message after it where there is one. Waits while too many wait."""
        await self._room.acquire()
        self._waiting.put_nowait((_json(event), audio, True))

    def notify(self, event: dict[str, Any]) -> None:
        """An event that waits for nothing. Raises `Unread` where too many wait."""
        if self._waiting.qsize() >= MAX_EVENTS + MAX_NOTICES:
            raise Unread
        self._waiting.put_nowait((_json(event), b"", False))

    async def send_all(self) -> None:
        """Sends what is put here, for ever. A client that reads slowly makes it wait; one that left ends it."""
        while True:
            event, audio, has_room = await self._waiting.get()
            await self._websocket.send_text(event)
            if audio:
                await self._websocket.send_bytes(audio)
            self.last_sent_s = time.monotonic()
            self._waiting.task_done()
            if has_room:
                self._room.release()

    async def emptied(self) -> None:
        """Returns once all is sent."""
        await self._waiting.join()


def _json(event: dict[str, Any]) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))
