"""Requests through real Ray: one cluster for the module, with the fake service in the engine replica."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Generator
from contextlib import suppress

import httpx
import numpy as np
import pytest
import ray
from ray import serve
from ray.serve.config import HTTPOptions, ProxyLocation
from ray.serve.schema import LoggingConfig
from websockets.exceptions import InvalidStatus

from serve_app.audio.pcm import to_int16_bytes
from serve_app.deployment.application import build_application
from serve_app.deployment.backend import EngineBackend
from serve_app.deployment.environment import set_serve_variables
from serve_app.deployment.own_cluster import APP_NAME
from serve_app.deployment.proxy import PROXY_CALLBACK
from serve_app.errors import Unavailable
from serve_app.settings import Settings
from serve_app.speech.request import one_turn
from tests.api.streaming_client import connected
from tests.audio.signals import tone, write
from tests.fakes import load_fake_service, sine_for
from tests.ports import free_port

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ROUTE = "/v1/audio/speech"
METRICS_PORT = free_port()
LONG = "a long text, " * 20  # 130 chunks: about three seconds of the fake's time


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Generator[httpx.Client]:
    os.environ["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"] = PROXY_CALLBACK
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    set_serve_variables()
    port = free_port()
    ray.init(
        _metrics_export_port=METRICS_PORT,
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        object_store_memory=128 * 1024 * 1024,
    )
    try:
        serve.start(
            proxy_location=ProxyLocation.HeadOnly,
            http_options=HTTPOptions(host="127.0.0.1", port=port),
            logging_config=LoggingConfig(log_level="WARNING"),
        )
        voice_dir = tmp_path_factory.mktemp("voices")
        settings = Settings(max_slots=4, max_waiting=2, shutdown_timeout_s=5.0, voice_dir=voice_dir)
        serve.run(build_application(settings, load_fake_service), name=APP_NAME)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client:
            yield client
    finally:
        serve.shutdown()
        ray.shutdown()


def num_open_streams(client: httpx.Client) -> int:
    """As the fake in the engine replica counts them: it answers with as many samples, and one."""
    answer = client.post(ROUTE, json={"input": "count", "response_format": "pcm"})
    assert answer.status_code == 200, answer.text
    return len(answer.content) // 2 - 1


def wait_until_idle(client: httpx.Client, timeout_s: float = 5.0) -> float:
    started_s = time.perf_counter()
    while num_open_streams(client):
        assert time.perf_counter() - started_s < timeout_s, "a stream was left open in the engine replica"
    return time.perf_counter() - started_s


def test_health_through_ray(client: httpx.Client) -> None:
    assert client.get("/health/live").status_code == 200
    assert client.get("/health").json()["model"] == "fake"
    assert client.get("/health/ready").status_code == 200


def test_audio_streams_through_ray(client: httpx.Client) -> None:
    request = one_turn("Hello through Ray, in several chunks", "en", seed=5)
    body = {"input": request.turns[0].text, "seed": 5, "response_format": "pcm"}
    started_s = time.perf_counter()
    with client.stream("POST", ROUTE, json=body) as answer:
        blocks = answer.iter_raw()
        audio = next(blocks)
        first_s = time.perf_counter() - started_s
        audio += b"".join(blocks)
    assert audio == to_int16_bytes(sine_for(request))
    assert first_s < (time.perf_counter() - started_s) / 2


def test_request_id_is_returned_once(client: httpx.Client) -> None:
    answer = client.get("/health/live", headers={"x-request-id": "job-7"})
    assert answer.headers.get_list("x-request-id") == ["job-7"]
    assert len(client.get("/health/live", headers={"x-request-id": "a b"}).headers["x-request-id"]) == 36


def test_metrics_leave_by_rays_exporter(client: httpx.Client) -> None:
    """Within a few seconds: replicas hand them to their node's agent now and then."""
    assert client.post(ROUTE, json={"input": "Hello."}).status_code == 200
    wanted = re.compile(rf'ray_xtts_requests_total{{[^}}]*code="ok"[^}}]*route="{ROUTE}"[^}}]*}} [1-9]')
    deadline_s, text = time.perf_counter() + 40.0, ""
    while not wanted.search(text) and time.perf_counter() < deadline_s:
        time.sleep(0.5)
        with suppress(httpx.TransportError):
            text = httpx.get(f"http://127.0.0.1:{METRICS_PORT}/metrics").text
    assert wanted.search(text), "\n".join(line for line in text.splitlines() if "xtts" in line)
    assert 'deployment="Ingress"' in text and "ray_xtts_first_audio_seconds_bucket" in text


def test_service_error_crosses_the_processes_whole(client: httpx.Client) -> None:
    answer = client.post(ROUTE, json={"input": "Hello", "voice": "gone"})
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "code": "voice_not_found",
        "message": "There is no such voice.",
        "type": "invalid_request_error",
        "param": "voice",
    }


def test_bug_in_a_replica_is_500_in_our_shape(client: httpx.Client) -> None:
    answer = client.post(ROUTE, json={"input": "a bug"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "ZeroDivisionError" not in answer.text


def test_overflow_is_429_in_our_shape(client: httpx.Client) -> None:
    async def burst() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=client.base_url, timeout=30.0) as many:
            return await asyncio.gather(*(many.post(ROUTE, json={"input": "x" * 60}) for _ in range(20)))

    answers = asyncio.run(burst())
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}, [answer.text for answer in answers if answer.status_code not in (200, 429)]
    assert statuses.count(200) >= 2  # a crowd that comes at once also counts as waiting until each has its place
    refused = answers[statuses.index(429)]
    assert refused.json()["error"]["code"] == "overloaded" and int(refused.headers["retry-after"]) >= 1
    assert wait_until_idle(client) < 1


@pytest.mark.parametrize("name", ["x-session-id", "serve-multiplexed-model-id", "serve_multiplexed_model_id"])
def test_client_cannot_choose_a_replica(client: httpx.Client, name: str) -> None:
    """The proxy fails where these are not UTF-8, so that they passed shows that they were taken away."""
    assert client.post(ROUTE, json={"input": "x"}, headers={name: b"\xff"}).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"x-request-disconnect-disabled": "?1"}])
def test_client_that_leaves_frees_the_engine(client: httpx.Client, headers: dict[str, str]) -> None:
    with (
        httpx.Client(base_url=client.base_url) as leaving,
        leaving.stream("POST", ROUTE, json={"input": LONG}, headers=headers) as answer,
    ):
        blocks = answer.iter_raw()
        next(blocks)
        assert num_open_streams(client) == 1
    assert wait_until_idle(client) < 0.5


def test_websocket_streams_through_ray(client: httpx.Client) -> None:
    url, sentence = str(client.base_url), "This sentence is long enough to stand on its own."
    with connected(url, additional_headers={"x-request-id": "job-8", "x-session-id": "me"}) as streaming:
        assert streaming.connection.response is not None
        assert streaming.connection.response.headers["x-request-id"] == "job-8"
        streaming.send("start", seed=5)
        for word in f"{sentence} {sentence}".split(" "):
            streaming.send("text", text=f"{word} ")
        heard = streaming.hear(until=("sentence",))
        assert heard.audio == to_int16_bytes(sine_for(one_turn(sentence, "en", seed=5)))
        streaming.send("end")
        assert [each["text"] for each in streaming.hear().last["sentences"]] == [sentence] * 2


def test_websocket_is_cancelled_and_left_through_ray(client: httpx.Client) -> None:
    url = str(client.base_url)
    with connected(url) as streaming:
        streaming.say(LONG)
        streaming.hear(until=("audio",))
        assert num_open_streams(client) >= 1
        streaming.send("cancel")
        assert streaming.hear().last["type"] == "cancelled"
        assert wait_until_idle(client) < 0.5
        streaming.say(LONG)
        streaming.hear(until=("audio",))
        assert num_open_streams(client) >= 1
    assert wait_until_idle(client) < 1.0


def test_websocket_is_refused_through_ray_with_a_status(client: httpx.Client) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        connected(str(client.base_url), additional_headers={"origin": "https://evil.example"}),
    ):
        pass
    assert refused.value.response.status_code == 403
    assert b"origin_not_allowed" in bytes(refused.value.response.body or b"")


def test_client_cannot_set_the_proxys_timeout(client: httpx.Client) -> None:
    answer = client.post(ROUTE, json={"input": "x" * 60}, headers={"x-request-timeout-seconds": "0.1"})
    assert answer.status_code == 200


def engine_pid(client: httpx.Client) -> int:
    return pid_in(client.get("/health"))


def pid_in(health: httpx.Response) -> int:
    (notice,) = health.json()["notices"]
    return int(notice.removeprefix("pid "))


def test_killed_replica_fails_its_requests_and_the_next_succeed(client: httpx.Client) -> None:
    with client.stream("POST", ROUTE, json={"input": LONG}) as answer:
        blocks = answer.iter_raw()
        next(blocks)
        os.kill(engine_pid(client), signal.SIGKILL)
        with pytest.raises(httpx.RemoteProtocolError):
            b"".join(blocks)
    statuses = []
    deadline_s = time.perf_counter() + 30
    while time.perf_counter() < deadline_s:
        answer = client.post(ROUTE, json={"input": "x"})
        statuses.append(answer.status_code)
        if answer.status_code == 200:
            break
        assert answer.json()["error"]["code"] == "unavailable"
    assert statuses[-1] == 200 and set(statuses[:-1]) <= {503}


def test_replica_whose_engine_failed_is_replaced_at_once(client: httpx.Client) -> None:
    failed_pid = engine_pid(client)
    answer = client.post(ROUTE, json={"input": "break the engine"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    started_s = time.perf_counter()
    while (health := client.get("/health")).status_code != 200 or pid_in(health) == failed_pid:
        assert health.json()["status"] in ("ok", "unavailable")
        assert time.perf_counter() - started_s < 45.0  # two busy cores start a process slowly
        time.sleep(0.1)
    assert client.post(ROUTE, json={"input": "x"}).status_code == 200


def test_voice_is_made_heard_and_deleted_through_ray(client: httpx.Client) -> None:
    wav = write(tone(1.0, 22_050), 22_050)
    files = [("audio", (f"{index}.wav", wav)) for index in range(2)]
    answer = client.post("/v1/audio/voices", data={"name": "Clara", "consent": "true"}, files=files)
    assert (answer.status_code, answer.json()["speech_s"], answer.json()["warnings"]) == (201, 2.0, ["2 recordings"])
    assert client.post("/v1/audio/voices", data={"name": "Clara", "consent": "true"}, files=files).status_code == 409
    body = {"input": "Hello", "voice": "clara(2)+anna", "response_format": "pcm"}
    assert client.post(ROUTE, json=body).status_code == 200
    assert client.put("/v1/audio/voices/clara/styles/happy", files=files[:1]).json()["warnings"] == ["a style"]
    assert client.delete("/v1/audio/voices/clara").status_code == 204
    assert client.post(ROUTE, json=body).status_code == 404


def test_recordings_larger_than_a_message_of_grpc_pass(client: httpx.Client) -> None:
    """Serve's default ends at 4 MiB, from proxy to ingress and from there, decoded, to the engine."""
    wav = write(tone(60.0, 48_000), 48_000)
    assert len(wav) > 4 * 2**20
    body = {"name": "Large", "consent": "true"}
    answer = client.post("/v1/audio/voices", data=body, files={"audio": ("large.wav", wav)})
    assert answer.status_code == 201, answer.text
    assert client.delete("/v1/audio/voices/large").status_code == 204


def test_engines_word_on_a_recording_comes_through_ray(client: httpx.Client) -> None:
    silent = write(tone(0.2, 22_050, 1.0), 22_050)
    answer = client.post("/v1/audio/voices", data={"name": "Dora", "consent": "true"}, files=[("audio", ("a", silent))])
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "reference_too_short")
    assert answer.json()["error"]["param"] == "audio"


def test_backend_without_a_replica_is_unavailable(client: httpx.Client) -> None:
    """The last of the module: it ends the application."""

    async def ask() -> None:
        backend = EngineBackend(serve.get_deployment_handle("Engine", APP_NAME))
        samples = [chunk.samples async for chunk in backend.stream(one_turn("Hello", "en"))]
        np.testing.assert_array_equal(np.concatenate(samples), sine_for(one_turn("Hello", "en")))
        serve.delete(APP_NAME)
        with pytest.raises(Unavailable):
            [chunk async for chunk in backend.stream(one_turn("Hello", "en"))]

    asyncio.run(ask())
