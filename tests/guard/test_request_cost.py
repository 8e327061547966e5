"""What a request for speech costs an ingress beside its audio, in counts: no thread for what takes no time."""

import threading
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import httpx
import pytest
from fastapi import FastAPI

from serve_app.api.app import create_app
from serve_app.settings import make_settings
from tests.fakes import FakeBackend

BODY = {"input": "Hello", "language": "en", "response_format": "pcm"}


@pytest.fixture
def thread_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was handed to another thread."""
    found: list[str] = []
    run_sync = anyio.to_thread.run_sync

    async def noted(func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        found.append(getattr(func, "__qualname__", repr(func)))
        return await run_sync(func, *args, **options)

    monkeypatch.setattr(anyio.to_thread, "run_sync", noted)
    return found


async def _ask(app: FastAPI, route: str, body: dict[str, Any]) -> int:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return (await client.post(route, json=body)).status_code


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("route", "body"), [("/v1/audio/speech", BODY), ("/synthesize_base64", {"text": "Hello", "lang": "en"})]
)
async def test_speech_needs_no_thread(thread_calls: list[str], route: str, body: dict[str, Any]) -> None:
    app = create_app(FakeBackend(), make_settings())
    assert await _ask(app, route, body) == 200
    assert thread_calls == []


@pytest.mark.anyio
async def test_handler_on_a_thread_is_noticed(thread_calls: list[str]) -> None:
    app = create_app(FakeBackend(), make_settings())
    app.add_api_route("/plain", lambda: threading.current_thread().name, methods=["POST"])
    assert await _ask(app, "/plain", {}) == 200
    assert len(thread_calls) == 1
