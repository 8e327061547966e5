"""What Serve's proxy may and may not say by itself."""

import asyncio

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

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
