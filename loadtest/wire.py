"""One HTTP/1.1 request on a connection of its own: cheap, timed to the byte, and ill-mannered where it is told to be.

Knows no route of ours. Never raises for what a server does: how an exchange went is in its `Answer`.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

HOST = "127.0.0.1"
READ_BYTES = 64 * 1024
MAX_HEAD_BYTES = 256 * 1024  # of a line, and of the headers
SLOW_BUFFER_BYTES = 8 * 1024  # what the kernel keeps for a client that reads slowly


@dataclass(frozen=True)
class Address:
    """Where a service listens."""

    port: int
    host: str = HOST
    is_tls: bool = False

    def __str__(self) -> str:
        return f"{'https' if self.is_tls else 'http'}://{self.host}:{self.port}"


class End(StrEnum):
    """How an exchange ended, as the client saw it."""

    COMPLETE = "complete"  # with its last byte, by length or by the last chunk
    CUT = "cut"  # after the status line, before the last byte
    NO_ANSWER = "no answer"  # closed or refused before a status line
    HUNG = "hung"  # nothing ended it in time
    LEFT = "left"  # by us, as told


@dataclass(frozen=True)
class Call:
    """What is sent. `announced_bytes` is a lie about the body's length, for a body that is never sent."""

    path: str
    body: bytes = b""
    content_type: str = "application/json"
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    announced_bytes: int | None = None

    def head(self, host: str = HOST) -> bytes:
        length = len(self.body) if self.announced_bytes is None else self.announced_bytes
        lines = [f"{self.method} {self.path} HTTP/1.1", f"host: {host}", "connection: close"]
        if self.method != "GET":
            lines += [f"content-type: {self.content_type}", f"content-length: {length}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode()


@dataclass(frozen=True)
class Manners:
    """How a client behaves. It leaves after so many bytes sent, seconds of waiting, or bytes heard."""

    leave_sent_bytes: int | None = None
    leave_waited_s: float | None = None
    leave_heard_bytes: int | None = None
    is_reset: bool = False  # leaves with a reset, not with a goodbye
    pause_s: float = 0.0  # before each read of the body


POLITE = Manners()


@dataclass
class Answer:
    """Times are of the running event loop's clock: `time.monotonic`, but for a loop with a clock of its own."""

    sent_s: float
    end: End = End.NO_ANSWER
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    reads: list[tuple[float, int]] = field(default_factory=list)  # when, and how much of the body was there then
    ended_s: float = 0.0

    @property
    def first_body_s(self) -> float | None:
        return self.reads[0][0] if self.reads else None

    @property
    def seconds(self) -> float:
        return self.ended_s - self.sent_s

    def json(self) -> Any:
        """None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def _now_s() -> float:
    return asyncio.get_running_loop().time()


class _Leave(Exception):
    pass


async def ask(address: Address, call: Call, deadline_s: float, manners: Manners = POLITE) -> Answer:
    """Sends `call` and reads its answer to the end, for `deadline_s` at most."""
    answer = Answer(sent_s=_now_s())
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(deadline_s):
            reader, writer = await _connect(address, is_slow=manners.pause_s > 0.0)
            await _exchange(reader, writer, call.head(address.host) + call.body, manners, answer)
            answer.end = End.COMPLETE
    except TimeoutError:
        answer.end = End.HUNG
    except _Leave:
        answer.end = End.LEFT
    except (OSError, EOFError, ValueError):  # reset, closed early, or not HTTP
        answer.end = End.CUT if answer.status else End.NO_ANSWER
    finally:
        answer.ended_s = _now_s()
        if writer is not None:
            _close(writer, is_reset=manners.is_reset)
    return answer


async def _connect(address: Address, *, is_slow: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.is_tls or address.host != HOST:
        return await asyncio.open_connection(
            address.host, address.port, ssl=address.is_tls or None, limit=MAX_HEAD_BYTES
        )
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if is_slow:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (HOST, address.port))
        limit = SLOW_BUFFER_BYTES if is_slow else MAX_HEAD_BYTES
        return await asyncio.open_connection(sock=connection, limit=limit)
    except BaseException:
        connection.close()
        raise


def _close(writer: asyncio.StreamWriter, *, is_reset: bool) -> None:
    if is_reset:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()  # closes at once: what is not sent by now never will be


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes, manners: Manners, answer: Answer
) -> None:
    if manners.leave_sent_bytes is not None:
        writer.write(data[: manners.leave_sent_bytes])
        await writer.drain()
        raise _Leave
    writer.write(data)
    if manners.leave_waited_s is None:
        await _read_head(reader, answer)
    else:
        try:
            async with asyncio.timeout(manners.leave_waited_s):
                await _read_head(reader, answer)
        except TimeoutError:
            raise _Leave from None
    await _read_body(reader, manners, answer)


async def _read_head(reader: asyncio.StreamReader, answer: Answer) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise ValueError("headers without an end") from error
    status_line, *lines = head.decode("latin-1").rstrip().split("\r\n")
    answer.headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    answer.status = int(status_line.split(" ", 2)[1])


async def _read_body(reader: asyncio.StreamReader, manners: Manners, answer: Answer) -> None:
    if answer.headers.get("transfer-encoding", "") == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            await _take(reader, size, manners, answer)
            if await reader.readexactly(2) != b"\r\n":
                raise ValueError("a chunk without its end")
        await reader.readuntil(b"\r\n")
    else:
        await _take(reader, int(answer.headers.get("content-length", "0")), manners, answer)


async def _take(reader: asyncio.StreamReader, num_bytes: int, manners: Manners, answer: Answer) -> None:
    """So many bytes of the body."""
    while num_bytes:
        if manners.pause_s:
            await asyncio.sleep(manners.pause_s)
        data = await reader.read(min(num_bytes, READ_BYTES))
        if not data:
            raise EOFError
        answer.body += data
        answer.reads.append((_now_s(), len(answer.body)))
        num_bytes -= len(data)
        if manners.leave_heard_bytes is not None and len(answer.body) >= manners.leave_heard_bytes:
            raise _Leave
