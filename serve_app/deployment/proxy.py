"""What Serve's HTTP proxy does before any application sees a request, and where there is none."""

import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.errors import send_error
from serve_app.api.middleware import is_sane_request_id
from serve_app.errors import Unavailable

PROXY_CALLBACK_VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
PROXY_CALLBACK = "serve_app.deployment:proxy_middlewares"
PROXY_STEERING_HEADERS = (
    "x-request-timeout-seconds",
    "x-request-disconnect-disabled",
    *("x-session-id", "x_session_id", "serve-multiplexed-model-id", "serve_multiplexed_model_id"),
)
AWAY = Unavailable("The service is starting, stopping or moving; try again.", retry_after_s=5.0)

logger = logging.getLogger(__name__)


class ProxyHeaders:
    """Takes from a client what steers Serve's proxy: timeout, watch for disconnects, routing, an unfit request id.

    The proxy reads these before any application sees the request. It calls `proxy_middlewares` where its environment
    has RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=serve_app.deployment:proxy_middlewares.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = MutableHeaders(scope=scope)
            for name in PROXY_STEERING_HEADERS:
                del headers[name]
            if not is_sane_request_id(headers.get("x-request-id", "")):
                del headers["x-request-id"]
        await self._app(scope, receive, send)


class NoApplication:
    """503 with Retry-After instead of the proxy's own answers, which it gives where no ingress replica answers.

    A plain-text 404: ours takes every path, so it is not there yet, or is going. A plain-text 500 or 503, an exception,
    or no answer at all: the ingress replica was lost before it answered. What our application says itself is JSON, and
    passes. To a WebSocket's handshake the proxy gives the same answers, which no server takes there.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        is_started = is_replaced = False

        async def send_ours(message: Message) -> None:
            nonlocal is_started, is_replaced
            is_first, is_started = not is_started, True
            if is_first and message["type"] == "http.response.start":
                is_replaced = scope["type"] == "websocket" or _is_proxys_own(message)
                if is_replaced:
                    await send_error(AWAY, scope, receive, send)
            if not is_replaced:
                await send(message)

        try:
            await self._app(scope, receive, send_ours)
        except Exception:
            if is_started:
                raise
            logger.exception("a request was lost before it was answered")
        if not is_started:
            await send_error(AWAY, scope, receive, send)


def _is_proxys_own(start: Message) -> bool:
    kind = Headers(raw=list(start.get("headers", ()))).get("content-type", "text/plain")
    return start["status"] in (404, 500, 503) and kind.startswith("text/plain")


def proxy_middlewares() -> list[Middleware]:
    """Called by Serve's proxy when it starts."""
    return [Middleware(ProxyHeaders), Middleware(NoApplication)]
