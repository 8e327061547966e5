"""What Serve's proxy may and may not say by itself."""

import asyncio

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.deployment.proxy import NoApplication


def _asked(answer: ASGIApp) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=NoApplication(answer))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/health/ready")

    return asyncio.run(ask())


async def _broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("the ingress replica is gone")


async def _silent(scope: Scope, receive: Receive, send: Send) -> None:
    """As the proxy does when the ingress replica's task was cancelled by the end of its node."""


@pytest.mark.parametrize(
    "own",
    [
        PlainTextResponse("Path '/x' not found.", 404),
        PlainTextResponse("Internal Server Error", 500),
        PlainTextResponse("Ingress is unavailable", 503),
        _broken,
        _silent,
    ],
)
def test_proxys_own_answer_is_503_in_our_shape(own: ASGIApp) -> None:
    answer = _asked(own)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "answer", [JSONResponse({"error": {"code": "not_found"}}, 404), PlainTextResponse("ok"), JSONResponse({}, 500)]
)
def test_what_the_application_says_passes(answer: Response) -> None:
    asked = _asked(answer)
    assert (asked.status_code, asked.content) == (answer.status_code, answer.body)


@pytest.mark.parametrize("own", [PlainTextResponse("Path '/x' not found.", 404), _broken, _silent])
def test_handshake_that_no_replica_answers_is_503_in_our_shape(own: ASGIApp) -> None:
    sent: list[Message] = []

    async def as_the_proxy_sends(scope: Scope, receive: Receive, send: Send) -> None:
        await own({**scope, "type": "http"}, receive, send)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "websocket", "path": "/", "headers": [], "extensions": {"websocket.http.response": {}}}
    asyncio.run(NoApplication(as_the_proxy_sends)(scope, receive, send))
    assert [message["type"] for message in sent] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert sent[0]["status"] == 503


def test_failure_of_an_open_websocket_is_not_answered() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def lost(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        raise ValueError("the ingress replica is gone")

    with pytest.raises(ValueError, match="gone"):
        asyncio.run(NoApplication(lost)({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert [message["type"] for message in sent] == ["websocket.accept"]
