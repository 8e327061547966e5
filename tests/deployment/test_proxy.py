"""What Serve's proxy may and may not say by itself."""

import asyncio

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from serve_app.deployment.proxy import NoApplication


def _asked(answer: Response) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=NoApplication(answer))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/health/ready")

    return asyncio.run(ask())


def test_proxys_own_404_is_503_in_our_shape() -> None:
    answer = _asked(PlainTextResponse("Path '/health/ready' not found.", 404))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "answer", [JSONResponse({"error": {"code": "not_found"}}, 404), PlainTextResponse("ok"), Response(b"x", 500)]
)
def test_what_the_application_says_passes(answer: Response) -> None:
    asked = _asked(answer)
    assert (asked.status_code, asked.content) == (answer.status_code, answer.body)
