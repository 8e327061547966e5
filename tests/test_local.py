"""The server without Ray, as a process of its own, with the fake service behind it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from serve_app.audio.pcm import Recording
from serve_app.deployment.own_cluster import run_serve
from serve_app.errors import SettingsError, Unavailable
from serve_app.local import LoadingBackend, bound_socket, run_local
from serve_app.settings import Settings
from tests.api.streaming_client import Client, connected
from tests.fakes import FakeService
from tests.ports import free_port

SERVE = """
import logging, sys, time
from serve_app.errors import CheckpointError
from serve_app.local import run_local
from serve_app.settings import Settings
from tests.fakes import load_fake_service
def load(settings, progress, recorder):
    progress("loading slowly")
    time.sleep(float(sys.argv[2]))
    if sys.argv[3] == "broken":
        raise CheckpointError("this is no checkpoint")
    return load_fake_service(settings, progress, recorder)
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
run_local(Settings(port=int(sys.argv[1]), shutdown_timeout_s=5.0), load)
"""


@contextmanager
def serving(
    loading_s: float, kind: str = "whole", **environment: str
) -> Generator[tuple[httpx.Client, subprocess.Popen[str]]]:
    port = free_port()
    arguments = [sys.executable, "-c", SERVE, str(port), str(loading_s), kind]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10.0) as client:
            wait_for(client, "/health/live")
            yield client, process
    finally:
        process.kill()
        process.communicate()


def wait_for(client: httpx.Client, path: str, timeout_s: float = 20.0) -> None:
    deadline_s = time.perf_counter() + timeout_s
    while time.perf_counter() < deadline_s:
        with suppress(httpx.TransportError):
            if client.get(path).status_code == 200:
                return
        time.sleep(0.02)
    pytest.fail(f"{path} was not 200 in {timeout_s} s")


def test_server_answers_while_it_loads_and_speaks_afterwards() -> None:
    with serving(loading_s=1.0) as (client, process):
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health").json()["status"] == "unavailable"
        refused = client.post("/synthesize_base64", json={"text": "x"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        wait_for(client, "/health/ready")
        assert client.post("/synthesize_base64", json={"text": "x"}).status_code == 200
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "loading slowly" in log and "ready on http://127.0.0.1" in log


def test_first_audio_does_not_wait_for_an_acknowledgement() -> None:
    with serving(loading_s=0.0) as (client, _):
        wait_for(client, "/health/ready")
        firsts_s = []
        for _ in range(5):
            started_s = time.perf_counter()
            with client.stream("POST", "/v1/audio/speech", json={"input": "Hello"}) as answer:
                blocks = answer.iter_raw()
                next(blocks)
                firsts_s.append(time.perf_counter() - started_s)
                list(blocks)
    assert min(firsts_s) < 0.03


def test_metrics_have_a_port_of_their_own() -> None:
    port = free_port()
    with serving(0.0, XTTS_METRICS_PORT=str(port)) as (client, process):
        wait_for(client, "/health/ready")
        assert client.post("/synthesize_base64", json={"text": "x"}).status_code == 200
        assert client.get("/metrics").status_code == 404
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert 'xtts_requests_total{code="ok",route="/synthesize_base64",status="200"} 1.0' in text
        assert "process_resident_memory_bytes" in text
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert process.returncode == 0


def test_taken_metrics_port_is_refused_by_name() -> None:
    with bound_socket(Settings(port=0)) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        for run in (run_local, run_serve):
            with pytest.raises(SettingsError, match="XTTS_METRICS_PORT"):
                run(Settings(port=0, metrics_port=port))


def test_running_speech_may_finish_when_the_server_stops() -> None:
    with serving(loading_s=0.0) as (client, process):
        wait_for(client, "/health/ready")
        with client.stream("POST", "/v1/audio/speech", json={"input": "x" * 100, "response_format": "pcm"}) as answer:
            blocks = answer.iter_raw()
            num_bytes = len(next(blocks))
            process.send_signal(signal.SIGTERM)
            num_bytes += sum(len(block) for block in blocks)
        assert num_bytes == 2 * 100 * 1_200
        process.communicate(timeout=10)
    assert process.returncode == 0


def test_running_utterance_may_finish_when_the_server_stops() -> None:
    """Connections with nothing to say end at once; what waits behind the one that is spoken is refused."""
    with serving(loading_s=0.0) as (client, process):
        wait_for(client, "/health/ready")
        url = str(client.base_url)
        with connected(url) as idle, connected(url) as busy:
            busy.say("x" * 100)
            busy.say("One that waits.")
            busy.hear(until=("audio",))
            process.send_signal(signal.SIGTERM)
            assert restarts(idle)
            with suppress(ConnectionClosed):
                busy.say("One that comes too late.")
            ends = [busy.hear().last for _ in range(3)]
            assert sorted(end["error"]["code"] if end["type"] == "error" else end["type"] for end in ends) == [
                "done",
                "unavailable",
                "unavailable",
            ]
            assert restarts(busy)
        process.communicate(timeout=10)
    assert process.returncode == 0


def restarts(client: Client) -> bool:
    """Whether the connection is closed with the code that says so."""
    with pytest.raises(ConnectionClosed) as end:
        client.next()
    return end.value.rcvd is not None and end.value.rcvd.code == 1012


def test_signal_while_it_loads_ends_it() -> None:
    with serving(loading_s=30.0) as (_, process):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)
    assert process.returncode == 0


def test_model_that_cannot_be_loaded_ends_the_server_with_the_reason() -> None:
    with serving(loading_s=0.5, kind="broken") as (_, process):
        _, log = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "this is no checkpoint" in log


@pytest.mark.slow
def test_failed_engine_ends_the_process() -> None:
    """Whoever started it starts it again; it must not go on refusing for ever."""
    with serving(loading_s=0.0) as (client, process):
        wait_for(client, "/health/ready")
        assert client.post("/synthesize_base64", json={"text": "break the engine"}).status_code == 500
        _, log = process.communicate(timeout=15)
    assert process.returncode == 1
    assert "The engine loop died." in log.splitlines()[-1]


def test_second_signal_ends_a_server_that_still_speaks() -> None:
    with serving(loading_s=0.0) as (client, process):
        wait_for(client, "/health/ready")
        with client.stream("POST", "/v1/audio/speech", json={"input": "x" * 200}) as answer:
            next(answer.iter_raw())
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            started_s = time.perf_counter()
            process.communicate(timeout=10)
    assert time.perf_counter() - started_s < 2.0


def test_taken_port_is_refused_by_name() -> None:
    with bound_socket(Settings(port=0)) as taken:
        taken.listen()
        with pytest.raises(SettingsError, match="XTTS_PORT"):
            run_local(Settings(port=taken.getsockname()[1]), lambda settings, progress: FakeService())


def test_recordings_are_refused_while_the_model_loads_and_prepared_afterwards() -> None:
    recordings = [Recording(np.full(8_000, 0.5, np.float32), 22_050)]

    async def ask() -> None:
        backend = LoadingBackend(Settings())
        with pytest.raises(Unavailable) as caught:
            await backend.prepare_voice(recordings, is_style=False)
        assert caught.value.retry_after_s
        backend.service = FakeService()
        assert (await backend.prepare_voice(recordings, is_style=True)).warnings == ("a style",)

    asyncio.run(ask())
