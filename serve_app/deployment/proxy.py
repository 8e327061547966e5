"""What Serve's HTTP proxy does before any application sees a request, and where there is none."""

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
AWAY = "The service is starting or stopping; try again."
AWAY_RETRY_AFTER_S = 5.0


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
    """503 with Retry-After instead of the proxy's own 404, which it gives while no application takes requests.

    Ours takes every path, so a plain-text 404 means that it is not there yet, or is going: it may finish its streams,
    and who asks now comes back later.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_replaced = False

        async def send_ours(message: Message) -> None:
            nonlocal is_replaced
            if message["type"] == "http.response.start" and message["status"] == 404:
                is_replaced = Headers(raw=message["headers"]).get("content-type", "").startswith("text/plain")
                if is_replaced:
                    error = Unavailable(
                        "The service is starting or stopping; try again.", retry_after_s=AWAY_RETRY_AFTER_S
                    )
                    await send_error(error, scope, receive, send)
            if not is_replaced:
                await send(message)

        await self._app(scope, receive, send_ours)


def proxy_middlewares() -> list[Middleware]:
    """Called by Serve's proxy when it starts."""
    return [Middleware(ProxyHeaders), Middleware(NoApplication)]
