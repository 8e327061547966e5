"""Who may ask: an API key in `authorization: Bearer …`, and how much each key may ask at once and a minute.

A browser cannot set that header for a WebSocket, so there the key may also be a subprotocol, `xtts-key.KEY`.
"""

import time
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api.errors import send_error
from serve_app.api.keys import ApiKey, KeyRing
from serve_app.api.observation import Observation
from serve_app.api.studio import PATHS as STUDIO_PATHS
from serve_app.errors import RateLimited, Unauthorized

OPEN_PATHS = frozenset({"/health/live", "/health/ready"}) | STUDIO_PATHS  # probes have no key; a page asks for one
KEY_SUBPROTOCOL = "xtts-key."
BUSY_RETRY_AFTER_S = 1.0


@dataclass
class Allowance:
    """What a key has left. Requests a minute come back evenly, so a burst of all of them is allowed once."""

    num_open: int = 0
    tokens: float = 0.0
    filled_s: float | None = None

    def take(self, key: ApiKey, now_s: float) -> None:
        """A request that is open from now on. Raises `RateLimited` with the seconds after which another is allowed."""
        if key.concurrency is not None and self.num_open >= key.concurrency:
            raise RateLimited(
                f"This API key has {key.concurrency} requests open, which is all it may; wait for one of them.",
                retry_after_s=BUSY_RETRY_AFTER_S,
            )
        self.spend(key, now_s)
        self.num_open += 1

    def spend(self, key: ApiKey, now_s: float) -> None:
        """One of the requests a minute. Raises `RateLimited` as `take` does."""
        if key.per_minute is None:
            return
        per_s = key.per_minute / 60.0
        since_s = now_s - self.filled_s if self.filled_s is not None else 60.0
        self.tokens = min(float(key.per_minute), self.tokens + since_s * per_s)
        self.filled_s = now_s
        if self.tokens < 1.0:
            raise RateLimited(
                f"This API key may ask {key.per_minute} times a minute; slow down.",
                retry_after_s=(1.0 - self.tokens) / per_s,
            )
        self.tokens -= 1.0


@dataclass(frozen=True)
class Visitor:
    """Who has a WebSocket open."""

    keys: KeyRing
    presented: str
    allowance: Allowance

    def ask_again(self) -> None:
        """One more request on the same connection. Raises `RateLimited`, or `Unauthorized` where the key has gone."""
        key = self.keys.find(self.presented)
        if key is None:
            raise Unauthorized("This API key is not valid any more; connect again with another.")
        self.allowance.spend(key, time.monotonic())


class Authenticate:
    """Refuses who has no key with 401, before a body is read. Limits count in this process alone."""

    def __init__(self, app: ASGIApp, *, keys: KeyRing) -> None:
        self._app, self._keys = app, keys
        self._allowances: dict[str, Allowance] = {}  # by the key's name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        presented = _presented(scope)
        key = self._keys.find(presented)
        if key is None:
            await send_error(Unauthorized("Send a valid API key: authorization: Bearer KEY."), scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["api_key"] = key
        seen = state.get("observation")
        if isinstance(seen, Observation):
            seen.client = key.name
        allowance = self._allowances.setdefault(key.name, Allowance())
        state["visitor"] = Visitor(self._keys, presented, allowance)
        try:
            allowance.take(key, time.monotonic())
        except RateLimited as error:
            await send_error(error, scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            allowance.num_open -= 1


def _presented(scope: Scope) -> str:
    scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    offered = [name for name in scope.get("subprotocols", ()) if name.startswith(KEY_SUBPROTOCOL)]
    return offered[0].removeprefix(KEY_SUBPROTOCOL) if offered else ""
