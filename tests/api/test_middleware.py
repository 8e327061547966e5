"""Request ids, bodies and those who leave, and what an ingress process must not load."""

import asyncio
import subprocess
import sys

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.app import create_app
from serve_app.api.middleware import BodyLimit
from serve_app.errors import Overloaded
from serve_app.settings import Settings
from tests.api.conftest import Server
from tests.fakes import FakeBackend


def test_request_id_of_the_client_is_returned(server: Server) -> None:
    assert server.client.get("/health", headers={"x-request-id": "job-7.a"}).headers["x-request-id"] == "job-7.a"


@pytest.mark.parametrize("offered", ["", "a b", "x" * 129, "<script>", "é".encode()])
def test_request_id_that_is_not_sane_is_replaced(server: Server, offered: str | bytes) -> None:
    answer = server.client.get("/health", headers={"x-request-id": offered})
    assert len(answer.headers["x-request-id"]) == 32


def test_request_ids_are_returned_with_errors_and_differ(server: Server) -> None:
    ids = {server.client.post("/synthesize_base64", content=b"{").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


async def spoken_to(app: ASGIApp, *messages: Message) -> list[Message]:
    """What an app sends to a client that sends these, and waits."""
    incoming, sent = iter(messages), []

    async def receive() -> Message:
        for message in incoming:
            return message
        await asyncio.sleep(60.0)
        raise AssertionError("nobody waits so long")

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/synthesize_base64", "query_string": b"", "headers": headers}
    await app(scope, receive, send)
    return sent


def test_client_that_leaves_while_it_uploads_is_nobodys_failure() -> None:
    app = create_app(FakeBackend(), Settings())
    half = {"type": "http.request", "body": b'{"text": "hel', "more_body": True}
    assert asyncio.run(spoken_to(app, half, {"type": "http.disconnect"})) == []


def test_uploads_that_come_to_too_much_together_are_refused() -> None:
    """The first still holds its body when the second comes; when it is done, there is room again."""
    taken, go_on = asyncio.Event(), asyncio.Event()

    async def keep(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        taken.set()
        await go_on.wait()

    async def crowd() -> None:
        limit = BodyLimit(keep, max_bytes=60, max_total_bytes=100)
        body = {"type": "http.request", "body": b"x" * 60, "more_body": False}
        first = asyncio.create_task(spoken_to(limit, body))
        await taken.wait()
        with pytest.raises(Overloaded):
            await spoken_to(limit, body)
        go_on.set()
        await first
        await spoken_to(limit, body)

    asyncio.run(crowd())


def test_app_imports_neither_torch_nor_ray() -> None:
    code = "import sys, serve_app.api.app; print([name for name in ('torch', 'ray', 'TTS') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(("path", "status"), [("/health/live", 200), ("/nowhere", 404)])
def test_every_answer_has_the_safe_headers(server: Server, path: str, status: int) -> None:
    answer = server.client.get(path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"


def test_audio_has_the_safe_headers(server: Server) -> None:
    answer = server.client.post("/v1/audio/speech", json={"input": "Hello."})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers.get_list("cache-control") == ["no-store"]
