"""/v1/jobs over real HTTP: sent, spoken, asked after, fetched, cancelled, and taken over from a process that died."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from serve_app.errors import Overloaded, SynthesisFailed, VoiceNotFound
from serve_app.settings import Settings
from serve_app.speech.request import one_turn
from tests.api.conftest import Server, running
from tests.fakes import sine_for
from tests.ports import free_port

ROUTE = "/v1/jobs"
SENTENCE = "Nobody has ever counted these stones. "


@pytest.fixture
def server(tmp_path: Path) -> Generator[Server]:
    with running(Settings(job_dir=tmp_path, max_job_chars=20_000, max_jobs=10)) as server:
        yield server


def send(client: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = client.post(ROUTE, json={"response_format": "pcm", "seed": 3, **body})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def waited(client: httpx.Client, job: dict[str, Any], *ends: str, timeout_s: float = 20.0) -> dict[str, Any]:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        found: dict[str, Any] = client.get(f"{ROUTE}/{job['id']}").json()
        if found["status"] in (ends or ("done", "failed", "cancelled")):
            return found
        time.sleep(0.05)
    raise AssertionError(f"still {found}")


def test_long_text_is_spoken_and_fetched(server: Server) -> None:
    job = waited(server.client, send(server.client, input=SENTENCE * 60))
    assert job["status"] == "done" and job["error"] is None
    assert job["progress"]["parts_done"] == job["progress"]["parts"] == 3
    assert job["progress"]["characters_done"] == len(SENTENCE) * 60
    pcm = np.frombuffer(server.client.get(f"{ROUTE}/{job['id']}/result").content, "<i2") / 32_768
    expected = np.concatenate([sine_for(request) for request in server.backend.requests])
    np.testing.assert_allclose(pcm, expected, atol=1e-4)
    assert "".join(request.turns[0].text for request in server.backend.requests) == SENTENCE * 60
    assert len({request.seed for request in server.backend.requests}) == 3
    assert job["progress"]["audio_s"] == pytest.approx(len(pcm) / 24_000)


def test_captions_go_on_over_the_parts(server: Server) -> None:
    job = waited(server.client, send(server.client, input=SENTENCE * 60))
    captions = server.client.get(f"{ROUTE}/{job['id']}/result", params={"captions": "srt"}).text
    assert captions.count("-->") == 3  # the fake takes a part for a sentence
    assert captions.rstrip().split("\n")[-2].split(" --> ")[1].startswith("00:01:54")


def test_list_is_a_zip_of_its_items(server: Server) -> None:
    items = [{"input": "One."}, {"input": "Zwei.", "id": "second", "voice": "anna", "language": "de"}]
    job = waited(server.client, send(server.client, items=items, response_format="wav"))
    assert job["items"] == ["1", "second"]
    with zipfile.ZipFile(io.BytesIO(server.client.get(f"{ROUTE}/{job['id']}/result").content)) as archive:
        assert archive.namelist() == ["1.wav", "second.wav"] and archive.testzip() is None
        whole = archive.read("second.wav")
    answer = server.client.get(f"{ROUTE}/{job['id']}/result", params={"item": "second"})
    assert (answer.content, answer.headers["content-type"]) == (whole, "audio/wav")
    turn = server.backend.requests[1].turns[0]
    assert (turn.voice.name, turn.language) == ("anna", "de")


def test_job_is_cancelled_and_then_removed(server: Server, tmp_path: Path) -> None:
    server.backend.configure(chunk_delay_s=0.2)
    job = waited(server.client, send(server.client, input=SENTENCE * 60), "running")
    assert server.client.get(f"{ROUTE}/{job['id']}/result").json()["error"]["code"] == "job_not_done"
    assert server.client.delete(f"{ROUTE}/{job['id']}").json()["status"] == "cancelled"
    assert server.client.delete(f"{ROUTE}/{job['id']}").status_code == 200
    assert server.client.get(f"{ROUTE}/{job['id']}").status_code == 404
    assert not (tmp_path / job["id"]).exists()


def test_full_engine_is_waited_for(server: Server) -> None:
    server.backend.configure(error=Overloaded("full", retry_after_s=1.0))
    job = send(server.client, input="Hello.")
    waited(server.client, job, "running")
    server.backend.configure(error=None)
    assert waited(server.client, job)["status"] == "done"


@pytest.mark.parametrize("error", [VoiceNotFound("no such voice", field="voice"), SynthesisFailed("noise")])
def test_item_that_cannot_be_spoken_fails_the_job(server: Server, error: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve_app.jobs.runner.MAX_WAIT_S", 0.01)
    server.backend.configure(error=error)
    job = waited(server.client, send(server.client, items=[{"input": "x", "id": "chapter-1"}]))
    assert job["status"] == "failed" and "chapter-1" in job["error"] and error.message in job["error"]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 422, "input"),
        ({"input": "x", "items": [{"input": "y"}]}, 422, "input"),
        ({"items": []}, 422, "items"),
        ({"items": [{"input": "x"}] * 1_001}, 422, "items"),
        ({"items": [{"input": "x", "id": "../x"}]}, 422, "items.0.id"),
        ({"items": [{"input": "x", "id": "a"}, {"input": "y", "id": "a"}]}, 422, "items"),
        ({"items": [{"input": "x"}, {"input": " "}]}, 400, "items.1.input"),
        ({"input": "x" * 20_001}, 422, "input"),
        ({"input": "x", "voice": "nobody"}, 404, "voice"),
        ({"input": "x", "language": "tlh"}, 422, "language"),
        ({"input": "<speak>x</speak>", "text_format": "ssml"}, 400, "text_format"),
    ],
)
def test_what_cannot_be_spoken_is_refused_at_once(
    server: Server, body: dict[str, Any], status: int, param: str
) -> None:
    answer = server.client.post(ROUTE, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
    assert server.client.get(ROUTE).json() == {"jobs": []}


def test_jobs_are_listed_newest_first_and_bounded(server: Server) -> None:
    jobs = [send(server.client, input="x") for _ in range(3)]
    listed = server.client.get(ROUTE, params={"limit": 2}).json()["jobs"]
    assert len(listed) == 2 and {each["id"] for each in listed} < {each["id"] for each in jobs}
    assert server.client.get(ROUTE, params={"limit": 0}).status_code == 422


def test_service_without_jobs_refuses_them(tmp_path: Path) -> None:
    with running(Settings(job_dir=tmp_path, max_jobs=0)) as server:
        assert server.client.post(ROUTE, json={"input": "x"}).status_code == 429


def test_each_key_sees_its_own_jobs(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("ann", "bob", "root")}
    keys.write_text("\n".join(f"{name} {digest}{' admin' * (name == 'root')}" for name, digest in hashes.items()))
    with running(Settings(job_dir=tmp_path / "jobs", api_keys_file=keys)) as server:
        ann, bob, root = ({"authorization": f"Bearer {name}"} for name in ("ann", "bob", "root"))
        job = server.client.post(ROUTE, json={"input": "x"}, headers=ann).json()
        for path in (f"{ROUTE}/{job['id']}", f"{ROUTE}/{job['id']}/result"):
            assert server.client.get(path, headers=bob).status_code == 404
        assert server.client.delete(f"{ROUTE}/{job['id']}", headers=bob).status_code == 404
        assert server.client.get(ROUTE, headers=bob).json() == {"jobs": []}
        for headers in (ann, root):
            assert [each["id"] for each in server.client.get(ROUTE, headers=headers).json()["jobs"]] == [job["id"]]


# -- processes that share a folder, and die --------------------------------------------------------------------------


@contextmanager
def process(directory: Path, chunk_delay_s: float) -> Generator[tuple["subprocess.Popen[bytes]", httpx.Client]]:
    port = free_port()
    program = [sys.executable, "-m", "tests.jobs.server", str(port), str(directory), str(chunk_delay_s)]
    running = subprocess.Popen(program)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as client:
        try:
            deadline_s = time.monotonic() + 30.0
            while time.monotonic() < deadline_s:
                try:
                    client.get("/health/live")
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield running, client
        finally:
            running.kill()
            running.wait(10)


@pytest.mark.slow
def test_job_of_a_killed_process_is_finished_by_another(tmp_path: Path) -> None:
    text = SENTENCE * 150
    with process(tmp_path / "whole", 0.0) as (_, client):
        job = waited(client, send(client, input=text))
        whole = client.get(f"{ROUTE}/{job['id']}/result").content
    with process(tmp_path / "shared", 0.005) as (first, client):
        job = send(client, input=text)
        while client.get(f"{ROUTE}/{job['id']}").json()["progress"]["parts_done"] < 2:
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
        first.wait(10)
    past = time.time() - 60
    os.utime(tmp_path / "shared" / job["id"] / "lease", (past, past))  # instead of half a minute's wait
    with process(tmp_path / "shared", 0.0) as (_, client):
        found = waited(client, job)
        assert found["status"] == "done"
        assert client.get(f"{ROUTE}/{job['id']}/result").content == whole


@pytest.mark.slow
def test_processes_that_share_a_folder_speak_no_part_twice(tmp_path: Path) -> None:
    with process(tmp_path, 0.001) as (_, one), process(tmp_path, 0.001) as (_, other):
        jobs = [send(one, input=SENTENCE * 60, seed=seed) for seed in range(4)]
        for job in jobs:
            assert waited(other, job)["status"] == "done"
    spoken = (tmp_path / "spoken.log").read_text().splitlines()
    assert len(spoken) == len(set(spoken)) == sum(job["progress"]["parts"] for job in jobs)


def test_fake_speaks_what_it_is_asked() -> None:
    assert len(sine_for(one_turn("x", "en"))) > 0
