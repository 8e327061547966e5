"""Who is let in: keys by their hashes, changed without a restart, each within its limits."""

import asyncio
import threading
import time
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from starlette.types import Message, Scope

from serve_app.api import keys
from serve_app.api.app import create_app
from serve_app.api.authentication import Allowance
from serve_app.api.keys import ApiKey, KeyRing, new_key
from serve_app.errors import RateLimited, SettingsError
from serve_app.settings import Settings
from tests.api.conftest import Server, running
from tests.fakes import FakeBackend

ROUTE = "/v1/audio/speech"
KEY, LINE = new_key("team-a")
OTHER_KEY, OTHER_LINE = new_key("team-b")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"# who may speak\n{LINE}   # until May\n\n{OTHER_LINE} concurrency=1\n", encoding="utf-8")
    return path


@pytest.fixture
def guarded(file: Path) -> Generator[Server]:
    with running(Settings(api_keys_file=file)) as server:
        yield server


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), {"authorization": KEY}, {"authorization": f"Basic {KEY}"}])
def test_who_has_no_key_is_refused(guarded: Server, headers: dict[str, str]) -> None:
    for answer in (
        guarded.client.post(ROUTE, json={"input": "x"}, headers=headers),
        guarded.client.get("/v1/audio/voices", headers=headers),
        guarded.client.get("/docs", headers=headers),
        guarded.client.get("/no/such/path", headers=headers),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["x-request-id"]
    assert guarded.backend.requests == []


def test_a_key_opens_and_probes_need_none(guarded: Server) -> None:
    assert guarded.client.post(ROUTE, json={"input": "x"}, headers=bearer(KEY)).status_code == 200
    assert (
        guarded.client.post(ROUTE, json={"input": "x"}, headers={"authorization": f"bearer  {KEY}"}).status_code == 200
    )
    assert guarded.client.get("/health/live").status_code == 200
    assert guarded.client.get("/health/ready").status_code == 200


def test_without_a_file_everyone_is_let_in(server: Server) -> None:
    assert server.client.post(ROUTE, json={"input": "x"}).status_code == 200


def test_body_of_a_stranger_is_not_read(file: Path) -> None:
    app = create_app(FakeBackend(), Settings(api_keys_file=file))
    statuses: list[int] = []

    async def receive() -> Message:
        raise AssertionError("the body was asked for")

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope: Scope = {"type": "http", "method": "POST", "path": ROUTE, "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, send))
    assert statuses == [401]


def test_keys_come_and_go_without_a_restart(guarded: Server, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_EVERY_S", 0.0)
    key, line = new_key("team-c")
    replace_file(file, line)
    assert guarded.client.post(ROUTE, json={"input": "x"}, headers=bearer(key)).status_code == 200
    assert guarded.client.post(ROUTE, json={"input": "x"}, headers=bearer(KEY)).status_code == 401
    replace_file(file, "not a line of keys")
    assert guarded.client.post(ROUTE, json={"input": "x"}, headers=bearer(key)).status_code == 200
    replace_file(file, "# nobody any more")  # the last key can be taken back too
    assert guarded.client.post(ROUTE, json={"input": "x"}, headers=bearer(key)).status_code == 401
    replace_file(file, line)
    assert guarded.client.post(ROUTE, json={"input": "x"}, headers=bearer(key)).status_code == 200
    file.unlink()
    assert guarded.client.post(ROUTE, json={"input": "x"}, headers=bearer(key)).status_code == 200


def replace_file(path: Path, text: str) -> None:
    """As a secret's volume changes: another file under the same name."""
    other = path.with_suffix(".new")
    other.write_text(text, encoding="utf-8")
    other.replace(path)


def test_a_key_keeps_within_its_concurrency(guarded: Server) -> None:
    guarded.backend.configure(first_chunk_delay_s=0.5)
    codes: list[int] = []

    def ask() -> None:
        codes.append(httpx.post(guarded.url + ROUTE, json={"input": "x"}, headers=bearer(OTHER_KEY)).status_code)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200, 429, 429]
    answer = guarded.client.post(ROUTE, json={"input": "x"}, headers=bearer(OTHER_KEY))
    assert answer.status_code == 200  # its place is free again


def test_refusal_says_when_to_come_back() -> None:
    allowance, key = Allowance(), ApiKey("a", per_minute=2)
    allowance.take(key, 0.0)
    allowance.take(key, 0.0)
    with pytest.raises(RateLimited) as refused:
        allowance.take(key, 0.0)
    assert refused.value.retry_after_s == pytest.approx(30.0)
    allowance.take(key, 30.0)
    with pytest.raises(RateLimited):
        allowance.take(key, 31.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no keys"),
        ("team-a", "line 1"),
        ("team-a 123", "line 1"),
        (f"te am {'0' * 64}", "line 1"),
        (f"{LINE} speed=3", "speed=3"),
        (f"{LINE} concurrency=0", "concurrency=0"),
    ],
)
def test_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=says):
        KeyRing(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="XTTS_API_KEYS_FILE"):
        KeyRing(tmp_path / "none")


def test_keys_are_long_and_are_kept_as_hashes_only() -> None:
    assert len(KEY) > 40 and KEY not in LINE and KEY != OTHER_KEY
    with pytest.raises(SettingsError):
        new_key("a b")


def test_the_log_names_the_key(guarded: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "serve_app.requests"):
        guarded.client.post(ROUTE, json={"input": "x"}, headers=bearer(KEY))
        time.sleep(0.1)
    assert "client=team-a" in caplog.text and KEY not in caplog.text


def test_admin_is_a_word_of_the_line(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{LINE} concurrency=2 admin\n{OTHER_LINE}\n", encoding="utf-8")
    ring = KeyRing(path)
    assert ring.find(KEY) == ApiKey("team-a", concurrency=2, is_admin=True)
    assert ring.find(OTHER_KEY) == ApiKey("team-b")
