"""Several models on Ray: two replicas with room for two models each, of which the fake makes four."""

import base64
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import ray
from ray import serve

from serve_app.audio.pcm import to_int16_bytes
from serve_app.deployment.application import build_application
from serve_app.deployment.own_cluster import APP_NAME
from serve_app.settings import Settings
from serve_app.speech.request import one_turn
from tests.deployment.clusters import ROUTE, environment, num_replicas, start_serve, until
from tests.deployment.model_app import EXTRA, GAIN, load_model
from tests.fakes import sine_for

pytestmark = [pytest.mark.ray, pytest.mark.long]

LONG = "a long text, " * 30
TOLD_S = 2.0  # until all routers know where a model is


@pytest.fixture(scope="module")
def client() -> Generator[httpx.Client]:
    with environment():
        ray.init(
            address="local",
            num_cpus=3,
            include_dashboard=False,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
            object_store_memory=128 * 1024 * 1024,
        )
        try:
            url = start_serve()
            settings = Settings(model="base", extra_models=EXTRA, max_model_bytes=2, max_slots=4, min_engine_replicas=2)
            serve.run(build_application(settings, load_model), name=APP_NAME)
            until(lambda: num_replicas() == 2, 60.0, "two replicas")
            with httpx.Client(base_url=url, timeout=30.0) as client:
                yield client
        finally:
            serve.shutdown()
            ray.shutdown()


def expected(text: str, model: str | None) -> bytes:
    source = "base" if model is None else EXTRA[model]
    samples = sine_for(one_turn(text, "en", seed=3)) * np.float32(GAIN[source])
    return to_int16_bytes(samples.astype(np.float32))


def hear(client: httpx.Client, text: str, model: str | None) -> bytes:
    body = {"input": text, "seed": 3, "response_format": "pcm", "model": model}
    answer = client.post(ROUTE, json=body)
    assert answer.status_code == 200, answer.text
    return answer.content


def process_of(client: httpx.Client, model: str | None) -> str:
    """The process that spoke."""
    answer = client.post("/synthesize_base64", json={"text": "Who?", "lang": "en", "model": model, "seed": 3})
    assert answer.status_code == 200, answer.text
    assert base64.b64decode(answer.json()["audio_base64"])[44:] == expected("Who?", model)
    (process,) = answer.json()["warnings"]
    return str(process)


def test_models_are_listed_and_described_through_ray(client: httpx.Client) -> None:
    models = client.get("/v1/models").json()["data"]
    assert [each["id"] for each in models] == ["base", *EXTRA]
    assert all("en" in each["languages"] for each in models)


def test_requests_go_where_their_model_is_loaded(client: httpx.Client) -> None:
    for model in ("anna", "ben"):
        process_of(client, model)
        time.sleep(TOLD_S)
    at = {model: {process_of(client, model) for _ in range(8)} for model in ("anna", "ben")}
    assert len(at["anna"]) == len(at["ben"]) == 1  # and the other replica never loaded it
    assert at["anna"] != at["ben"]  # the replica with fewer models took the second
    assert {process_of(client, None) for _ in range(20)} == at["anna"] | at["ben"]


def test_speech_is_whole_while_another_model_needs_room(client: httpx.Client) -> None:
    models = ("anna", "ben", None)
    with ThreadPoolExecutor(len(models)) as pool:
        long = [pool.submit(hear, client, LONG, model) for model in models]
        time.sleep(0.5)
        assert hear(client, "Hello.", "cora") == expected("Hello.", "cora")
        assert [each.result() for each in long] == [expected(LONG, model) for model in models]
    for model in ("anna", None, "ben", "cora"):
        assert hear(client, "Hello.", model) == expected("Hello.", model)


def test_model_that_cannot_be_loaded_is_told_and_others_go_on(client: httpx.Client) -> None:
    for _ in range(2):
        answer = client.post(ROUTE, json={"input": "Hello.", "model": "broken"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
        assert "'broken'" in answer.json()["error"]["message"] and int(answer.headers["retry-after"]) >= 1
    assert hear(client, "Hello.", None) == expected("Hello.", None)
    assert client.get("/health/ready").status_code == 200
