"""Who may open the WebSocket: keys in a header or a subprotocol, each within its limits, and no stranger's web page."""

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Scope
from websockets.exceptions import InvalidStatus

from serve_app.api import connections, keys
from serve_app.api.authentication import Authenticate
from serve_app.api.keys import KeyRing, new_key
from serve_app.settings import Settings
from tests.api.conftest import Server, running
from tests.api.streaming_client import PATH, connected

KEY, LINE = new_key("team-a")
NARROW_KEY, NARROW_LINE = new_key("team-b")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"{LINE}\n{NARROW_LINE} concurrency=1 per_minute=2\n", encoding="utf-8")
    return path


@pytest.fixture
def guarded(file: Path) -> Generator[Server]:
    with running(Settings(api_keys_file=file)) as server:
        yield server


def bearer(key: str) -> dict[str, Any]:
    return {"additional_headers": {"authorization": f"Bearer {key}"}}


def refusal(server: Server, **options: Any) -> tuple[int, str]:
    """Status and code of a handshake that is refused."""
    with pytest.raises(InvalidStatus) as refused, connected(server.url, **options):
        pass
    response = refused.value.response
    assert response.headers["x-content-type-options"] == "nosniff" and response.headers["x-request-id"]
    return response.status_code, httpx.Response(200, content=bytes(response.body or b"")).json()["error"]["code"]


def _wait_for(server: Server, status: str, code: str) -> None:
    """The record is closed a moment after the client has its answer."""
    deadline_s = time.perf_counter() + 5.0
    while not server.metric("xtts_requests_total", route="none", status=status, code=code):
        assert time.perf_counter() < deadline_s, f"no handshake was refused with {status} {code}"
        time.sleep(0.005)


@pytest.mark.parametrize(
    "options", [{}, bearer("wrong"), {"subprotocols": ["xtts", "xtts-key.wrong"]}, {"subprotocols": ["xtts"]}]
)
def test_who_has_no_key_is_refused(guarded: Server, options: dict[str, Any]) -> None:
    assert refusal(guarded, **options) == (401, "invalid_api_key")
    _wait_for(guarded, "401", "invalid_api_key")


def test_key_in_the_address_opens_nothing(guarded: Server) -> None:
    assert refusal(guarded, path=f"{PATH}?key={KEY}&xtts-key={KEY}") == (401, "invalid_api_key")


@pytest.mark.parametrize("options", [bearer(KEY), {"subprotocols": ["xtts", f"xtts-key.{KEY}"]}])
def test_a_key_opens_by_header_or_subprotocol(guarded: Server, options: dict[str, Any]) -> None:
    with connected(guarded.url, **options) as client:
        client.say("Hello.")
        assert client.hear().last["type"] == "done"
        assert client.connection.subprotocol == ("xtts" if "subprotocols" in options else None)  # never the key


def test_log_names_the_key_and_does_not_hold_it(guarded: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"), connected(guarded.url, subprotocols=["xtts", f"xtts-key.{KEY}"]) as client:
        client.say("Hello.")
        client.hear()
        client.say("Hello.")
        client.hear()
    assert "client=team-a" in caplog.text and KEY not in caplog.text


def test_connection_is_one_open_request_and_each_utterance_one_a_minute(guarded: Server) -> None:
    with connected(guarded.url, **bearer(NARROW_KEY)) as client:
        assert refusal(guarded, **bearer(NARROW_KEY)) == (429, "rate_limited")
        for expected in ("done", "done", "error"):
            client.say("Hello.")
            last = client.hear().last
            assert last["type"] == expected
        assert last["error"]["code"] == "rate_limited" and last["retry_after_s"] > 0
    assert refusal(guarded, **bearer(NARROW_KEY)) == (429, "rate_limited")


def test_key_that_is_taken_back_speaks_no_more(guarded: Server, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_EVERY_S", 0.0)
    with connected(guarded.url, **bearer(KEY)) as client:
        client.say("Hello.")
        assert client.hear().last["type"] == "done"
        file.write_text("# nobody", encoding="utf-8")
        client.say("Hello.")
        assert client.hear().last["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1.evil.example", "http://127.0.0.1:1", "null", ""]
)
def test_page_of_another_host_is_refused_where_there_are_no_keys(server: Server, origin: str) -> None:
    assert refusal(server, additional_headers={"origin": origin}) == (403, "origin_not_allowed")


def test_own_page_and_those_allowed_may_open_it(server: Server) -> None:
    with connected(server.url, origin=server.url):
        pass
    with (
        running(Settings(allowed_origins="https://app.example, https://b.example")) as open_server,
        connected(open_server.url, origin="https://b.example"),
    ):
        pass
    with running(Settings(allowed_origins="*")) as open_server, connected(open_server.url, origin="null"):
        pass


def test_with_keys_the_origin_is_no_matter(guarded: Server) -> None:
    with connected(guarded.url, origin="https://app.example", subprotocols=["xtts", f"xtts-key.{KEY}"]):
        pass


def test_service_that_is_not_ready_refuses_the_handshake() -> None:
    with running(Settings()) as server:
        server.backend.configure(is_ready=False)
        assert refusal(server) == (503, "unavailable")


def test_too_many_connections_are_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 1)
    with connected(server.url):
        assert refusal(server) == (429, "overloaded")


def test_other_paths_are_not_found(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused, connected(server.url, path="/nowhere"):
        pass
    assert refused.value.response.status_code == 403
    _wait_for(server, "403", "not_found")


@pytest.mark.anyio
async def test_server_without_words_for_a_refusal_closes(file: Path) -> None:
    """The ASGI extension for an answer to the handshake is the server's own choice."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(*_: object) -> None:
        raise AssertionError("a stranger was let in")

    scope: Scope = {"type": "websocket", "path": PATH, "headers": [], "subprotocols": []}
    await Authenticate(app, keys=KeyRing(file))(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "invalid_api_key"}]
