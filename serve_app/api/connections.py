"""The WebSockets of one process: how many there may be, and their end when the process is to stop."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from serve_app.errors import Overloaded, Unavailable

MAX_CONNECTIONS = 256
FULL_RETRY_AFTER_S = 5.0
STOPPING = "The service is stopping; connect again in a moment."


class Connections:
    """Those that are open now."""

    def __init__(self) -> None:
        self._num_open = 0
        self._is_none_open = asyncio.Event()
        self._is_none_open.set()
        self.draining = asyncio.Event()  # once set, a connection takes no further utterance and closes

    @contextmanager
    def one_more(self) -> Generator[None]:
        """Raises `Overloaded` where there are too many, `Unavailable` where the process is about to stop."""
        if self.draining.is_set():
            raise Unavailable(STOPPING, retry_after_s=FULL_RETRY_AFTER_S)
        if self._num_open >= MAX_CONNECTIONS:
            raise Overloaded("Too many connections are open; try again.", retry_after_s=FULL_RETRY_AFTER_S)
        self._num_open += 1
        self._is_none_open.clear()
        try:
            yield
        finally:
            self._num_open -= 1
            if self._num_open == 0:
                self._is_none_open.set()

    async def drain(self) -> None:
        """Lets what is spoken now be finished, and returns when no connection is left."""
        self.draining.set()
        await self._is_none_open.wait()
