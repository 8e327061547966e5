"""A service of queueing theory: so many servers, first come, first served, and a service time that is drawn."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from loadtest.judgement import REQUEST_ID
from loadtest.wire import HOST, Address

SPEECH = bytes(2 * 24_000)  # one second
HEAD_END = b"\r\n\r\n"


class Station:
    """Each request takes a server for `service_s()` seconds; over HTTP it then gets a second of speech at once."""

    def __init__(self, num_servers: int, service_s: Callable[[], float]) -> None:
        self._free, self._service_s = asyncio.Semaphore(num_servers), service_s

    async def serve(self) -> None:
        async with self._free:
            await asyncio.sleep(self._service_s())

    @asynccontextmanager
    async def over_http(self) -> AsyncIterator[Address]:
        """Yields its address."""
        async with await asyncio.start_server(self._answer, HOST, 0, backlog=1_000) as server:
            yield Address(server.sockets[0].getsockname()[1])

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(HEAD_END)).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        await reader.readexactly(int(headers["content-length"]))
        await self.serve()
        told = f"{REQUEST_ID}: {headers[REQUEST_ID]}\r\ncontent-length: {len(SPEECH)}"
        writer.write(f"HTTP/1.1 200 OK\r\n{told}\r\n\r\n".encode() + SPEECH)
        writer.close()
