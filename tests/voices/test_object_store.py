"""A bucket that replicas share; and one that is away, hangs, refuses or babbles costs two seconds once per pause."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pytest

from serve_app.errors import SettingsError
from serve_app.voices import object_store
from serve_app.voices.object_store import PAUSE_S, READ_TIMEOUT_S, Breaker, ObjectStore
from serve_app.voices.storage import VoiceFileError
from tests.voices.object_server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, ObjectServer

URL = "s3://bucket/voices/v1"
OVERHEAD_S = 0.8  # of a machine that does other things as well


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(object_server: ObjectServer, clock: Clock) -> Iterator[Callable[[], ObjectStore]]:
    stores: list[ObjectStore] = []

    def make() -> ObjectStore:
        stores.append(ObjectStore(URL, clock=clock))
        return stores[-1]

    yield make
    object_server.may_go_on.set()
    for store in stores:
        store.close()


Make = Callable[[], ObjectStore]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def written(store: ObjectStore, name: str, data: bytes) -> None:
    store.write(name, data)
    store.close()


def test_object_written_is_read_by_another_store(make: Make, object_server: ObjectServer) -> None:
    written(make(), "a", b"one")
    assert make().read("a") == b"one"
    assert object_server.objects == {"/bucket/voices/v1/a": b"one"}


def test_object_written_again_is_replaced(make: Make) -> None:
    written(make(), "a", b"one")
    written(make(), "a", b"another")
    assert make().read("a") == b"another"


def test_object_absent_is_none_and_no_failure(
    make: Make, object_server: ObjectServer, caplog: pytest.LogCaptureFixture
) -> None:
    store = make()
    with caplog.at_level(logging.INFO):
        assert [store.read(name) for name in "abc"] == [None] * 3
    assert len(object_server.requests) == 3
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("500", "500 Internal Server Error"),
        ("401", "401 Unauthorized"),
        ("hangs", "no answer in 2 s"),
        ("cuts", ""),
        ("babbles", ""),
    ],
)
def test_store_in_trouble_is_left_alone_for_a_while(
    make: Make, object_server: ObjectServer, clock: Clock, caplog: pytest.LogCaptureFixture, trouble: str, reason: str
) -> None:
    written(make(), "a", b"one" * 100)
    store = make()
    object_server.trouble = trouble
    with caplog.at_level(logging.INFO):
        started_s = time.monotonic()
        assert store.read("a") is None
        assert time.monotonic() - started_s < READ_TIMEOUT_S + OVERHEAD_S
        num_asked = len(object_server.requests)
        clock.now_s += PAUSE_S - 0.1
        started_s = time.monotonic()
        assert [store.read("a") for _ in range(20)] == [None] * 20
        assert time.monotonic() - started_s < OVERHEAD_S
        assert len(object_server.requests) == num_asked
        assert len(warnings(caplog)) == 1 and reason in warnings(caplog)[0]
        clock.now_s += 0.1
        object_server.trouble = ""
        assert store.read("a") == b"one" * 100
        assert store.read("a") == b"one" * 100
    assert caplog.text.count("answers again") == 1
    assert len(warnings(caplog)) == 1


def test_store_still_in_trouble_after_the_pause_is_left_alone_again(
    make: Make, object_server: ObjectServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    object_server.trouble = "500"
    store = make()
    for num_warnings in (1, 2):
        assert [store.read("a") for _ in range(5)] == [None] * 5
        assert len(warnings(caplog)) == num_warnings
        clock.now_s += PAUSE_S
    assert len(object_server.requests) == 2 * 2  # each try with its retry


def test_store_away_is_left_alone(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        store = make()
        started_s = time.monotonic()
        store.write("a", b"one")
        assert [store.read("a") for _ in range(5)] == [None] * 5
        assert time.monotonic() - started_s < READ_TIMEOUT_S + OVERHEAD_S
    assert len(warnings(caplog)) == 1


def test_store_that_takes_no_connection_is_given_two_seconds(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{full.getsockname()[1]}")
        store = make()
        started_s = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(store.read, "abcdefgh")) == [None] * 8
        assert time.monotonic() - started_s < READ_TIMEOUT_S + OVERHEAD_S
    assert len(warnings(caplog)) == 1


def test_read_refused_counts_as_absent_and_is_said_once(
    make: Make, object_server: ObjectServer, caplog: pytest.LogCaptureFixture
) -> None:
    """As S3 does where one may read and write, but not list."""
    store = make()
    object_server.trouble, object_server.put_trouble = "403", ""
    assert [store.read(name) for name in "ab"] == [None] * 2
    written(store, "a", b"one")
    object_server.trouble = ""
    assert make().read("a") == b"one"
    (warning,) = warnings(caplog)
    assert "refuses a read" in warning


def test_write_refused_is_a_failure(make: Make, object_server: ObjectServer, caplog: pytest.LogCaptureFixture) -> None:
    object_server.put_trouble = "403"
    store = make()
    for name in "abc":
        store.write(name, b"one")
    store.close()
    (warning,) = warnings(caplog)
    assert "failed a write" in warning and "403 Forbidden" in warning
    assert object_server.requests == ["PUT"]


def test_credentials_are_not_logged(make: Make, object_server: ObjectServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for object_server.trouble in ("403", "500", "401"):
            store = make()
            store.read("a")
            written(store, "a", b"one")
    assert len(warnings(caplog)) >= 3
    assert ACCESS_KEY_ID not in caplog.text
    assert SECRET_ACCESS_KEY not in caplog.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Error performing GET https://a:b@host/x?sig=c&d=e in 2s\nDebug: b",
            "Error performing GET https://host/x in 2s",
        ),
        (
            "GET http://host/x - status code: 500 Internal Server Error: b",
            "GET http://host/x - status code: 500 Internal Server Error",
        ),
        ("", "ValueError"),
    ],
)
def test_reason_has_neither_body_nor_query_nor_user(text: str, expected: str) -> None:
    assert object_store._reason(ValueError(text)) == expected


def test_object_too_large_for_a_voice_is_refused_unread(make: Make, object_server: ObjectServer) -> None:
    object_server.trouble = "huge"
    with pytest.raises(VoiceFileError, match="bytes"):
        make().read("a")


def test_write_returns_at_once_and_close_waits_for_it(make: Make, object_server: ObjectServer) -> None:
    object_server.put_trouble = "hangs"
    store = make()
    started_s = time.monotonic()
    store.write("a", b"one")
    store.write("b", b"two")
    assert store.read("a") is None  # nor do reads wait for writes
    assert time.monotonic() - started_s < OVERHEAD_S
    object_server.put_trouble = None
    threading.Timer(0.2, object_server.may_go_on.set).start()
    store.close()
    assert make().read("b") == b"two"


def test_write_done_before_it_is_waited_for_blocks_nobody(
    make: Make, object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a loaded machine, where the store's thread may be the faster one."""
    submit = asyncio.run_coroutine_threadsafe

    def submit_and_wait(*args: Any) -> "Future[None]":
        future = submit(*args)
        wait([future])
        return future

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", submit_and_wait)
    store = make()
    writer = threading.Thread(target=store.write, args=("a", b"one"), daemon=True)
    writer.start()
    writer.join(5)
    assert not writer.is_alive()
    assert list(object_server.objects.values()) == [b"one"]


def test_read_under_way_while_it_closes_finds_nothing(make: Make, object_server: ObjectServer) -> None:
    object_server.trouble = "hangs"
    store = make()
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(store.read, "a")
        while not object_server.requests:
            time.sleep(0.01)
        store.close()
        assert found.result(timeout=1) is None


def test_writes_that_wait_are_bounded(
    make: Make, object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(object_store, "MAX_WAITING_WRITES", 2)
    object_server.put_trouble = "hangs"
    store = make()
    for name in "abc":
        store.write(name, b"one")
    (warning,) = warnings(caplog)
    assert warning.endswith("c is not kept")


def test_close_gives_up_a_write_that_hangs(
    make: Make, object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(object_store, "CLOSING_S", 0.2)
    object_server.put_trouble = "hangs"
    store = make()
    store.write("a", b"one")
    started_s = time.monotonic()
    store.close()
    assert time.monotonic() - started_s < 0.2 + OVERHEAD_S
    assert ["did not take 1 voices" in each for each in warnings(caplog)] == [True]
    store.write("a", b"one")
    assert store.read("a") is None


def test_hanging_write_ends_by_itself(
    make: Make, object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(object_store, "WRITE_TIMEOUT_S", 0.2)
    object_server.put_trouble = "hangs"
    store = make()
    written(store, "a", b"one")
    (warning,) = warnings(caplog)
    assert "failed a write" in warning and "no answer in 0.2 s" in warning


def test_environment_that_does_not_suit_is_refused(
    object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SERVER_SIDE_ENCRYPTION", "rot13")
    with pytest.raises(SettingsError, match=r"XTTS_VOICE_URL=s3://bucket/voices/v1 .*rot13"):
        ObjectStore(URL)


def test_breaker_lets_one_try_after_the_pause(clock: Clock) -> None:
    breaker = Breaker(clock)
    assert breaker.lets_through() and breaker.lets_through()
    assert breaker.failed()
    assert not breaker.failed()  # another that was under way
    clock.now_s += PAUSE_S
    assert [breaker.lets_through() for _ in range(3)] == [True, False, False]
    assert breaker.succeeded()
    assert not breaker.succeeded()
    assert breaker.lets_through()


def test_breaker_that_never_hears_of_its_try_makes_another(clock: Clock) -> None:
    breaker = Breaker(clock)
    breaker.failed()
    for _ in range(2):
        clock.now_s += PAUSE_S
        assert breaker.lets_through()
        assert not breaker.lets_through()


def test_breaker_is_not_closed_by_what_says_nothing(clock: Clock) -> None:
    breaker = Breaker(clock)
    breaker.undecided()
    assert breaker.lets_through()
    breaker.failed()
    breaker.undecided()  # was under way when the pause began
    assert not breaker.lets_through()
    clock.now_s += PAUSE_S
    assert breaker.lets_through() and not breaker.lets_through()
    breaker.undecided()
    assert breaker.lets_through() and not breaker.lets_through()
    assert breaker.failed()
    assert not breaker.lets_through()
