"""The same service through Ray Serve: nobody hears another, seeds hold, a killed engine comes back, SIGTERM drains.

In this order: the last tests kill the engine replica and then the service.
"""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Semaphore

import httpx
import numpy as np
import pytest

from tests.end_to_end.asking import (
    LONG_TEXT,
    REPORT,
    SPEECH,
    TEXTS,
    Asked,
    Pcm,
    crowd,
    hear,
    num_codes,
    num_samples,
)
from tests.end_to_end.crowding import BAD_REQUESTS, run_crowd
from tests.end_to_end.serving import Server

pytestmark = [pytest.mark.ray, pytest.mark.slow]

CLONED = Asked(TEXTS["ko"], "ko", voice="first", seed=7)
RECOVERY_S = 60.0


def test_crowd_hears_what_each_request_gives_alone(ray_server: Server, heard_alone: list[Pcm]) -> None:
    """Alone, in another process without Ray."""
    outcome = run_crowd(ray_server.url, crowd())
    for asked, alone, heard in zip(crowd(), heard_alone, outcome.heard, strict=True):
        np.testing.assert_array_equal(heard, alone, err_msg=str(asked))
    assert outcome.refused == [bad[2:] for bad in BAD_REQUESTS]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_seed_decides_the_bytes(ray_server: Server, is_streamed: bool) -> None:
    asked = replace(CLONED, is_streamed=is_streamed, is_upload=is_streamed)
    with ray_server.client() as client:
        one, again, other = (hear(client, each) for each in (asked, asked, replace(asked, seed=8)))
    np.testing.assert_array_equal(one, again)
    assert len(one) == num_samples(num_codes(TEXTS["ko"], "ko"))
    assert len(one) == len(other) and not np.array_equal(one, other)


def test_clients_that_leave_free_every_slot(ray_server: Server) -> None:
    """Of long texts that would take all 16 slots for long: the next request is served at once."""
    with ray_server.client() as client:
        body = {"json": {"text": TEXTS["en"], "lang": "en"}}
        alone_s = client.post(REPORT, **body).elapsed.total_seconds()
        for _ in range(6):
            with (
                httpx.Client(base_url=ray_server.url, timeout=30.0) as leaving,
                leaving.stream("POST", SPEECH, json={"input": LONG_TEXT}) as answer,
            ):
                next(answer.iter_raw())
        after = client.post(REPORT, **body)
    assert after.json()["timings"]["queue"] < 0.5
    assert after.elapsed.total_seconds() < 2 * alone_s + 0.5


def test_clients_that_leave_are_not_taken_for_lost_engines(ray_server: Server) -> None:
    """Of a busy engine: after a loss its silence would get the others refused."""
    outcome = run_crowd(ray_server.url, crowd()[:8], num_leaving=80)
    assert len(outcome.heard) == 8
    assert "lost an engine replica" not in ray_server.log


def test_killed_engine_fails_what_ran_and_comes_back_by_itself(ray_server: Server) -> None:
    with ray_server.client() as client, ThreadPoolExecutor(5) as others:
        before = hear(client, CLONED)
        pid = ray_server.engine_replica().pid
        wholes = [others.submit(_whole, ray_server) for _ in range(2)]
        is_heard = Semaphore(0)
        streams = [others.submit(_cut_stream, ray_server, is_heard) for _ in range(2)]
        for _ in streams:
            assert is_heard.acquire(timeout=30.0)
        os.kill(pid, signal.SIGKILL)
        readiness = others.submit(_readiness_until_ready_again, ray_server)
        statuses = _statuses_until_spoken(client)
        for stream in streams:
            assert isinstance(stream.result(), httpx.RemoteProtocolError)
        for whole in wholes:
            assert _is_unavailable(whole.result())
        assert statuses[-1] == 200 and set(statuses[:-1]) <= {503}
        np.testing.assert_array_equal(hear(client, CLONED), before)
        assert set(readiness.result()) == {200, 503}
        assert ray_server.engine_replica().pid != pid


def _cut_stream(server: Server, is_heard: Semaphore) -> Exception | None:
    """What a listener of a long text meets before its end. `is_heard` is released once it hears something."""
    try:
        with server.client() as client, client.stream("POST", SPEECH, json={"input": LONG_TEXT}) as answer:
            assert answer.status_code == 200
            blocks = answer.iter_raw()
            next(blocks)
            is_heard.release()
            for _ in blocks:
                pass
    except httpx.TransportError as error:
        return error
    return None


def _whole(server: Server) -> httpx.Response:
    with server.client() as client:
        return client.post(REPORT, json={"text": LONG_TEXT, "lang": "en"})


def _is_unavailable(answer: httpx.Response) -> bool:
    error = answer.json()["error"]
    is_clear = error["code"] == "unavailable" and "try again" in error["message"]
    return answer.status_code == 503 and is_clear and int(answer.headers["retry-after"]) >= 1


def _statuses_until_spoken(client: httpx.Client) -> list[int]:
    statuses = []
    deadline_s = time.perf_counter() + RECOVERY_S
    while time.perf_counter() < deadline_s:
        answer = client.post(REPORT, json={"text": "Hello", "lang": "en"})
        statuses.append(answer.status_code)
        if answer.status_code == 200:
            return statuses
        assert _is_unavailable(answer), answer.text
        time.sleep(0.2)
    pytest.fail(f"no speech {RECOVERY_S} s after the engine was killed: {statuses}")


def _readiness_until_ready_again(server: Server) -> list[int]:
    """What a load balancer sees from the kill on."""
    seen: list[int] = []
    deadline_s = time.perf_counter() + RECOVERY_S
    with server.client() as client:
        while time.perf_counter() < deadline_s:
            seen.append(client.get("/health/ready").status_code)
            if seen[-1] == 200 and 503 in seen:
                break
            time.sleep(0.2)
    return seen


def test_termination_lets_a_stream_finish(ray_server: Server) -> None:
    sentences = 12
    body = {"input": f"{TEXTS['en']}. " * sentences, "language": "en", "response_format": "pcm"}
    with ray_server.client() as client, client.stream("POST", SPEECH, json=body) as answer:
        blocks = answer.iter_raw()
        pcm = next(blocks)
        ray_server.process.terminate()
        pcm += b"".join(blocks)
    assert len(pcm) == 2 * sentences * num_samples(num_codes(f"{TEXTS['en']}.", "en"))
    assert ray_server.process.wait(40.0) == 0, ray_server.log
