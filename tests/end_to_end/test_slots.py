"""One slot: who leaves frees it at once, and who finds the queue full is told so at once."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from contextlib import closing

import httpx
import numpy as np
import pytest

from tests.end_to_end.asking import LONG_TEXT, REPORT, SPEECH, TEXTS, Asked, hear, pcm_of
from tests.end_to_end.serving import Server

# One sentence; one code for every 2.5th of a token: about 17 s of speech, and 2 s of work and more.
LONG_SENTENCE = "the river runs past the old mill and under the stone bridge and down to the sea " * 3
SHORT = Asked(TEXTS["en"], "en", seed=1)
TIMEOUT_S = 60.0


def _bye(connection: socket.socket) -> None:
    connection.close()


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def send(server: Server, route: str, body: str) -> socket.socket:
    """A request on a bare socket, not yet answered."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S)
    data = body.encode()
    head = f"POST {route} HTTP/1.1\r\nhost: test\r\ncontent-length: {len(data)}\r\n\r\n"
    connection.sendall(head.encode() + data)
    return connection


def queue_s(client: httpx.Client) -> float:
    """How long a request that is sent now waits for the slot."""
    answer = client.post(REPORT, json={"text": SHORT.text, "lang": "en"})
    assert answer.status_code == 200, answer.text
    waited_s: float = answer.json()["timings"]["queue"]
    return waited_s


def long_sentence_s(client: httpx.Client) -> float:
    """How long the slot is taken by the long sentence, where nobody leaves."""
    answer = client.post(REPORT, json={"text": LONG_SENTENCE, "lang": "en"})
    synthesis_s: float = answer.json()["timings"]["synthesis"]
    return synthesis_s


@pytest.mark.parametrize("leave", [_bye, _reset])
def test_slot_of_a_client_that_leaves_in_mid_stream_is_free(
    narrow_server: Server, leave: Callable[[socket.socket], None]
) -> None:
    with narrow_server.client() as client:
        undisturbed_s = long_sentence_s(client)
        with closing(send(narrow_server, SPEECH, f'{{"input": "{LONG_SENTENCE}"}}')) as connection:
            assert connection.recv(4_096).startswith(b"HTTP/1.1 200")
            leave(connection)
        assert queue_s(client) < undisturbed_s / 4


def test_slot_of_a_client_that_leaves_before_its_answer_is_free(narrow_server: Server) -> None:
    with narrow_server.client() as client:
        undisturbed_s = long_sentence_s(client)
        with closing(send(narrow_server, REPORT, f'{{"text": "{LONG_SENTENCE}", "lang": "en"}}')):
            time.sleep(undisturbed_s / 4)
        assert queue_s(client) < undisturbed_s / 4


def test_request_behind_one_that_stays_waits_for_the_slot(narrow_server: Server) -> None:
    """What the tests above would measure if nothing were freed."""
    with narrow_server.client() as client:
        undisturbed_s = long_sentence_s(client)
        with closing(send(narrow_server, SPEECH, f'{{"input": "{LONG_SENTENCE}"}}')) as connection:
            assert connection.recv(4_096).startswith(b"HTTP/1.1 200")
            assert queue_s(client) > undisturbed_s / 4


def test_queued_request_of_a_client_that_leaves_never_runs(narrow_server: Server) -> None:
    with narrow_server.client() as client:
        undisturbed_s = long_sentence_s(client)
        runs = send(narrow_server, SPEECH, f'{{"input": "{LONG_SENTENCE}"}}')
        with closing(runs):
            assert runs.recv(4_096).startswith(b"HTTP/1.1 200")
            waiting = [send(narrow_server, REPORT, f'{{"text": "{LONG_SENTENCE}", "lang": "en"}}') for _ in range(5)]
            time.sleep(undisturbed_s / 8)
            for connection in waiting:
                connection.close()
        assert queue_s(client) < undisturbed_s


def test_full_queue_refuses_at_once_and_spoils_nothing(narrow_server: Server) -> None:
    """Of 40 at once, some more than ten find room: every answer is complete, or 429 with a time to come back."""

    async def ask(client: httpx.AsyncClient, asked: Asked) -> httpx.Response:
        route, arguments = asked.to_http()
        return await client.post(route, **arguments)

    async def burst(asked: list[Asked]) -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=narrow_server.url, timeout=TIMEOUT_S, limits=limits) as client:
            return await asyncio.gather(*(ask(client, each) for each in asked))

    asked = [Asked(SHORT.text, "en", seed=number % 4, is_streamed=number % 2 == 1) for number in range(40)]
    with narrow_server.client() as client:
        alone = {each: hear(client, each) for each in dict.fromkeys(asked)}
    answers = asyncio.run(burst(asked))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 10
    for each, answer in zip(asked, answers, strict=True):
        if answer.status_code == 200:
            np.testing.assert_array_equal(pcm_of(each, answer), alone[each])
        else:
            assert answer.json()["error"]["code"] == "overloaded"
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.elapsed.total_seconds() < 2.0
    with narrow_server.client() as client:
        assert queue_s(client) < 1.0


@pytest.mark.slow
def test_text_longer_than_the_queue_is_spoken_whole(narrow_server: Server) -> None:
    """Its later sentences wait for room instead of failing the request in the middle."""
    with narrow_server.client() as client:
        answer = client.post(SPEECH, json={"input": LONG_TEXT, "response_format": "pcm"})
    assert answer.status_code == 200
    assert len(answer.content) / 2 / 24_000 > 60
