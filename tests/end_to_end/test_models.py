"""Several models in one process: each speaks as itself, memory holds one at a time, and speech is never cut for it."""

import asyncio
from collections.abc import Generator
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from tests.end_to_end.asking import LONG_TEXT, SPEECH
from tests.end_to_end.serving import Server, serving, starting

pytestmark = pytest.mark.slow

TEXT = "Hello, it is a pleasure to meet you this morning."
LARGE = "synthetic:full:2"  # two layers of the true size: hundreds of megabytes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """With memory for one model at a time: the bound is less than any takes."""
    extra = f"mini=mini,large={LARGE}"
    directory = tmp_path_factory.mktemp("models")
    with serving(directory, "--local", XTTS_EXTRA_MODELS=extra, XTTS_MAX_MODEL_BYTES="1") as server:
        yield server


def hear(client: httpx.Client, **body: Any) -> bytes:
    answer = client.post(SPEECH, json={"input": TEXT, "seed": 5, "response_format": "pcm", **body})
    assert answer.status_code == 200, answer.text
    return answer.content


def resident_bytes(server: Server) -> int:
    return psutil.Process(server.process.pid).memory_info().rss


def test_models_speak_as_themselves_in_their_own_voices(server: Server) -> None:
    with server.client() as client:
        assert [each["id"] for each in client.get("/v1/models").json()["data"]] == ["synthetic:tiny", "mini", "large"]
        voices = {
            name: [each["id"] for each in client.get("/v1/audio/voices", params={"model": name}).json()["voices"]]
            for name in ("tts-1", "mini")
        }
        assert voices["tts-1"] == ["default"] and "stella" in voices["mini"]
        noise, speech = hear(client, model="tts-1"), hear(client, model="mini", voice="stella")
        assert noise != speech
        assert hear(client) == noise and hear(client, model="mini", voice="stella") == speech
        refused = client.post(SPEECH, json={"input": TEXT, "model": "mini", "language": "ko"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unsupported_language")
    assert "closing model synthetic:tiny" in server.log


def test_closed_model_gives_its_memory_back(server: Server) -> None:
    """But for the kernels that oneDNN compiled for its shapes, which models of one architecture share."""
    sizes = []
    with server.client() as client:
        for _ in range(3):
            hear(client, model="large")
            during = resident_bytes(server)
            hear(client)
            sizes.append((during, resident_bytes(server)))
    assert min(during - after for during, after in sizes) > 300e6, sizes
    assert sizes[2][1] - sizes[1][1] < 50e6, sizes


def test_speech_is_whole_while_its_model_must_go(server: Server) -> None:
    """The long speech outlasts the patience of those who wait for its model's place."""
    long = {"input": LONG_TEXT * 2, "seed": 5, "response_format": "pcm"}
    short = {"input": TEXT, "seed": 5, "response_format": "pcm"}

    async def ask() -> tuple[bytes, list[bytes]]:
        async with (
            httpx.AsyncClient(base_url=server.url, timeout=120.0) as client,
            client.stream("POST", SPEECH, json=long) as answer,
        ):
            blocks = answer.aiter_raw()
            whole = await anext(blocks)
            asked = [client.post(SPEECH, json={**short, "model": model}) for model in ("mini", "tts-1", "mini")]
            others = [asyncio.create_task(each) for each in asked]
            async for block in blocks:
                whole += block
            return whole, [(await other).raise_for_status().content for other in others]

    with server.client() as client:
        expected = client.post(SPEECH, json=long).content
        alone = [hear(client, model=model) for model in ("mini", "tts-1", "mini")]
    whole, others = asyncio.run(ask())
    assert whole == expected
    assert others == alone
    assert np.frombuffer(whole, "<i2").any()


def test_wrong_place_of_a_further_model_is_refused_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("wrong")
    with starting(directory, "--local", expected_status=1, XTTS_EXTRA_MODELS="anna=/nowhere/anna") as server:
        server.process.wait(30.0)
        assert "there is no model '/nowhere/anna'" in server.log
