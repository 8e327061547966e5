"""Pure ASGI middleware: request ids, headers of every answer, a body's limit, and the end when a client leaves."""

import asyncio
import re
import uuid
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.errors import send_error
from serve_app.errors import Overloaded, UploadTooLarge

UPLOAD_RETRY_AFTER_S = 2.0

HEADED = ("http.response.start", "websocket.accept", "websocket.http.response.start")  # messages with headers

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def is_sane_request_id(value: str) -> bool:
    """Short and plain enough to be logged and echoed."""
    return _SANE_REQUEST_ID.fullmatch(value) is not None


def _headers(message: Message) -> MutableHeaders:
    message.setdefault("headers", [])
    return MutableHeaders(scope=message)


class RequestId:
    """Gives each request an id, the client's own where it is sane, and returns it in `x-request-id`.

    `is_echoed` is False where a proxy in front already returns the header; it never does for a WebSocket.
    """

    def __init__(self, app: ASGIApp, *, is_echoed: bool = True) -> None:
        self._app = app
        self._is_echoed = is_echoed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        offered = Headers(scope=scope).get("x-request-id", "")
        request_id = offered if is_sane_request_id(offered) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] in HEADED:
                _headers(message)["x-request-id"] = request_id
            await send(message)

        is_echoed = self._is_echoed or scope["type"] == "websocket"
        await self._app(scope, receive, send_with_id if is_echoed else send)


class SafeHeaders:
    """On every answer: a browser takes it as what it says it is, keeps none of it, and frames it nowhere."""

    HEADERS = (
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
    )

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] in HEADED:
                headers = _headers(message)
                for name, value in self.HEADERS:
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BodyLimit:
    """Refuses a body over `max_bytes` with 413 before anything parses it, whether its length is announced or not.

    Where all bodies in hand come to more than `max_total_bytes`, the one that goes beyond is refused with 429: uploads
    of many clients at once must not fill the memory. `max_bytes_of` are the limits of single paths.
    """

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, max_total_bytes: int, max_bytes_of: Mapping[str, int] | None = None
    ) -> None:
        self._app = app
        self._max_bytes, self._max_total_bytes = max_bytes, max_total_bytes
        self._max_bytes_of = dict(max_bytes_of or {})
        self._num_bytes_in_hand = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        max_bytes = self._max_bytes_of.get(scope["path"], self._max_bytes)
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > max_bytes:
            await send_error(_too_large(max_bytes), scope, receive, send)
            return
        num_bytes = 0

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            size = len(message.get("body", b""))
            num_bytes += size
            self._num_bytes_in_hand += size
            if num_bytes > max_bytes:
                raise _too_large(max_bytes)
            if self._num_bytes_in_hand > self._max_total_bytes:
                raise Overloaded("Too many uploads at once; try again in a moment.", retry_after_s=UPLOAD_RETRY_AFTER_S)
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._num_bytes_in_hand -= num_bytes


def _too_large(max_bytes: int) -> UploadTooLarge:
    limit = max_bytes / 1024 / 1024
    return UploadTooLarge(f"The body is larger than {limit:.1f} MiB; send a shorter recording or less text.")


class CancelOnDisconnect:
    """Cancels a request's work the moment its client leaves, while it waits and while it streams.

    An ASGI server only says so to who calls `receive`: this does, from the body's end on.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = _Client(receive)
        work = asyncio.create_task(self._run(scope, client.receive, send))
        watch = asyncio.create_task(client.left())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_client_gone = watch.done()
            watch.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        if is_client_gone and (work.cancelled() or isinstance(work.exception(), ClientDisconnect)):
            return
        work.result()

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _Client:
    """The receiving side of one request, read by the app until the body ends and by the watch from then on."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_body_read = asyncio.Event()
        self._is_gone = asyncio.Event()

    async def receive(self) -> Message:
        if self._is_body_read.is_set():
            await self._is_gone.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._is_gone.set()
        if self._is_gone.is_set() or not message.get("more_body", False):
            self._is_body_read.set()
        return message

    async def left(self) -> None:
        await self._is_body_read.wait()
        while not self._is_gone.is_set():
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._is_gone.set()
