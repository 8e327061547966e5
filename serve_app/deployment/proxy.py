"""What Serve's HTTP proxy does before any application sees a request."""

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api.middleware import is_sane_request_id

PROXY_CALLBACK_VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
PROXY_CALLBACK = "serve_app.deployment:proxy_middlewares"
PROXY_STEERING_HEADERS = (
    "x-request-timeout-seconds",
    "x-request-disconnect-disabled",
    *("x-session-id", "x_session_id", "serve-multiplexed-model-id", "serve_multiplexed_model_id"),
)


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


def proxy_middlewares() -> list[Middleware]:
    """Called by Serve's proxy when it starts."""
    return [Middleware(ProxyHeaders)]
