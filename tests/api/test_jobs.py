"""/v1/jobs over HTTP: what is refused, how far a job is, its result in every form, whose it is."""

import base64
import io
import os
import time
import zipfile
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile

from serve_app.api import app as app_module
from serve_app.api.keys import new_key
from serve_app.jobs.runner import JobRunner
from serve_app.settings import Settings
from tests.api.conftest import Server, running
from tests.jobs.support import BOOK, QUICK
from tests.voices.recordings import recording_path

KEY, LINE = new_key("team-a")
OTHER_KEY, OTHER_LINE = new_key("team-b")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "JobRunner", partial(JobRunner, pace=QUICK))


@pytest.fixture
def settings() -> Settings:
    return Settings(max_job_chars=5_000, max_jobs=3, max_upload_bytes=500_000)


def made(client: httpx.Client, **body: object) -> dict[str, Any]:
    answer = client.post("/v1/jobs", json=body)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def over(client: httpx.Client, job: dict[str, Any], timeout_s: float = 5.0) -> dict[str, Any]:
    deadline_s = time.perf_counter() + timeout_s
    while time.perf_counter() < deadline_s:
        now = client.get(f"/v1/jobs/{job['id']}").json()
        if now["status"] in ("done", "failed", "cancelled"):
            return dict(now)
        time.sleep(0.01)
    pytest.fail(f"the job was not over in {timeout_s} s")


def code(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def test_long_text_is_spoken_and_handed_out_whole(server: Server) -> None:
    job = made(server.client, input=BOOK, response_format="wav", seed=5)
    assert (job["status"], job["progress"]["parts_total"], job["items"]) == ("queued", 5, None)
    done = over(server.client, job)
    assert done["progress"] == {
        "parts_done": 5,
        "parts_total": 5,
        "characters_done": len(BOOK),
        "characters_total": len(BOOK),
        "audio_s": len(BOOK) / 20,
        "seconds_left": None,
    }
    answer = server.client.get(f"/v1/jobs/{job['id']}/result")
    assert answer.headers["content-type"] == "audio/wav" and job["id"] in answer.headers["content-disposition"]
    samples, rate_hz = soundfile.read(io.BytesIO(answer.content))
    assert (len(samples), rate_hz) == (len(BOOK) * 1_200, 24_000)


@pytest.mark.parametrize("response_format", ["mp3", "opus", "aac", "flac", "pcm"])
def test_result_comes_in_any_format(server: Server, response_format: str) -> None:
    job = made(server.client, input="Hello there.")
    over(server.client, job)
    answer = server.client.get(f"/v1/jobs/{job['id']}/result?response_format={response_format}")
    assert answer.status_code == 200 and len(answer.content) > 1_000


def test_captions_of_a_job_go_on_through_its_parts(server: Server) -> None:
    job = made(server.client, input=BOOK)
    over(server.client, job)
    srt = server.client.get(f"/v1/jobs/{job['id']}/result?captions=srt").text
    vtt = server.client.get(f"/v1/jobs/{job['id']}/result?captions=vtt").text
    assert "\n5\n" in srt and "00:03:25,000" in srt and vtt.startswith("WEBVTT") and "00:03:25.000" in vtt


def test_list_is_a_zip_of_files_by_their_ids(server: Server) -> None:
    items = [{"id": "intro", "input": "Hello."}, {"input": "Second.", "voice": "anna", "speed": 2.0}, {"input": "C."}]
    job = made(server.client, items=items, response_format="flac")
    done = over(server.client, job)
    assert (done["items"], done["warnings"]) == (3, ["spoken by anna"])
    archive = zipfile.ZipFile(io.BytesIO(server.client.get(f"/v1/jobs/{job['id']}/result").content))
    assert archive.testzip() is None and archive.namelist() == ["intro.flac", "2.flac", "3.flac"]
    alone = server.client.get(f"/v1/jobs/{job['id']}/result?item=2")
    assert alone.content == archive.read("2.flac") and alone.headers["content-type"] == "audio/flac"
    turns = {request.turns[0].text: request.turns[0] for request in server.backend.requests}
    assert (turns["Second."].voice.name, turns["Second."].speed) == ("anna", 2.0)
    assert code(server.client.get(f"/v1/jobs/{job['id']}/result?item=nine"))[:2] == (404, "job_not_found")
    assert server.client.get(f"/v1/jobs/{job['id']}/result?captions=srt").status_code == 400
    assert server.client.get(f"/v1/jobs/{job['id']}/result?captions=srt&item=2").text.startswith("1\n")


def test_item_is_handed_out_before_the_list_is_done(server: Server) -> None:
    server.backend.configure(chunk_delay_s=0.01)
    job = made(server.client, items=[{"input": "First."}, {"input": BOOK[:4_000]}])
    deadline_s = time.perf_counter() + 5.0
    while (first := server.client.get(f"/v1/jobs/{job['id']}/result?item=1")).status_code != 200:
        assert code(first) == (409, "job_not_done", "item") and time.perf_counter() < deadline_s
    now = server.client.get(f"/v1/jobs/{job['id']}").json()
    assert (now["status"], now["progress"]["characters_done"]) == ("running", 6) and now["progress"]["seconds_left"] > 0
    assert code(server.client.get(f"/v1/jobs/{job['id']}/result")) == (409, "job_not_done", "id")


def test_running_job_is_cancelled_and_then_removed(server: Server) -> None:
    server.backend.configure(chunk_delay_s=0.05)
    job = made(server.client, input=BOOK)
    while not server.backend.num_open_streams:
        time.sleep(0.005)
    cancelled = server.client.delete(f"/v1/jobs/{job['id']}")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    server.wait_until_idle()
    assert code(server.client.get(f"/v1/jobs/{job['id']}/result"))[:2] == (409, "job_not_done")
    assert server.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert code(server.client.get(f"/v1/jobs/{job['id']}"))[:2] == (404, "job_not_found")


def test_live_requests_are_served_beside_a_job(server: Server) -> None:
    server.backend.configure(chunk_delay_s=0.02, max_streams=2)
    made(server.client, input=BOOK)
    assert server.client.post("/v1/audio/speech", json={"input": "Hello."}).status_code == 200
    assert server.backend.num_open_streams <= 1  # one job at a time


def test_list_of_jobs_is_bounded_and_paged(server: Server) -> None:
    ids = [made(server.client, input=f"Text {number}.")["id"] for number in range(3)]
    assert code(server.client.post("/v1/jobs", json={"input": "One more."}))[:2] == (409, "too_many_jobs")
    page = server.client.get("/v1/jobs?limit=2").json()
    assert page["has_more"] and {job["id"] for job in page["data"]} < set(ids)
    rest = server.client.get(f"/v1/jobs?limit=2&after={page['data'][-1]['id']}").json()
    assert not rest["has_more"] and {job["id"] for job in page["data"] + rest["data"]} == set(ids)
    for limit in ("0", "101", "x"):
        assert server.client.get(f"/v1/jobs?limit={limit}").status_code == 422


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (422, "invalid_field", "input")),
        ({"input": "a", "items": [{"input": "b"}]}, (422, "invalid_field", "input")),
        ({"items": []}, (422, "invalid_field", "items")),
        ({"input": " \n"}, (400, "empty_text", "input")),
        ({"input": "a" * 5_001}, (422, "text_too_long", "input")),
        ({"items": [{"input": "a" * 2_501}] * 2}, (422, "text_too_long", "items")),
        ({"items": [{"input": "a"}, {"input": "  "}]}, (400, "empty_text", "items.1.input")),
        ({"items": [{"input": "a"}, {"input": "b", "voice": "nobody"}]}, (404, "voice_not_found", "items.1.voice")),
        ({"input": "a", "voice": "nobody"}, (404, "voice_not_found", "voice")),
        ({"items": [{"input": "b", "language": "xx"}]}, (422, "unsupported_language", "items.0.language")),
        ({"items": [{"input": "b", "speed": 9}]}, (422, "invalid_field", "items.0.speed")),
        ({"items": [{"id": "../a", "input": "b"}]}, (422, "invalid_field", "items.0.id")),
        ({"items": [{"id": ".a", "input": "b"}]}, (422, "invalid_field", "items.0.id")),
        ({"items": [{"id": "A", "input": "b"}, {"id": "a", "input": "b"}]}, (422, "invalid_field", "items.1.id")),
        ({"items": [{"id": "2", "input": "b"}, {"input": "b"}]}, (422, "invalid_field", "items.1.id")),
        ({"input": "a", "reference_audio_b64": "?"}, (422, "invalid_base64", "reference_audio_b64")),
        ({"input": "[pause:11] a"}, (400, "invalid_request", "input")),
        ({"input": "<speak>a</speak>", "text_format": "ssml"}, (400, "invalid_request", "text_format")),
    ],
)
def test_wrong_job_is_refused_and_says_where(server: Server, body: dict[str, Any], expected: object) -> None:
    assert code(server.client.post("/v1/jobs", json=body)) == expected
    assert server.client.get("/v1/jobs").json() == {"object": "list", "data": [], "has_more": False}


@pytest.mark.parametrize("job_id", ["..%2f..%2fetc", "job-" + "0" * 28, "%2e%2e", "job-%00", "a" * 300])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_id_from_a_client_is_never_a_path(server: Server, method: str, job_id: str) -> None:
    assert server.client.request(method, f"/v1/jobs/{job_id}").status_code == 404
    assert server.client.get(f"/v1/jobs/{job_id}/result").status_code == 404


def test_job_is_spoken_by_the_model_that_it_names() -> None:
    with running(Settings(extra_models={"tuned": "somewhere"})) as server:
        server.backend.configure(models=("tuned",))
        job = made(server.client, input="Hello.", model="tuned", voice="tuned")
        assert over(server.client, job)["model"] == "tuned"
        assert [request.model for request in server.backend.requests] == ["tuned"]
        assert code(server.client.post("/v1/jobs", json={"input": "A.", "model": "no"})) == (
            404,
            "model_not_found",
            "model",
        )


def test_recording_is_kept_with_the_job(server: Server) -> None:
    recording = base64.b64encode(recording_path().read_bytes()).decode()
    job = made(server.client, items=[{"input": "A."}, {"input": "B.", "voice": "anna"}], reference_audio_b64=recording)
    over(server.client, job)
    references = {each.turns[0].text: each.turns[0].voice.reference for each in server.backend.requests}
    assert references["A."] is not None and references["B."] is None
    files = list(Path(os.environ["XTTS_JOB_DIR"]).rglob("references/*"))
    assert [path.suffix for path in files] == [".safetensors"]


def test_directory_that_cannot_be_written_refuses_jobs_alone(tmp_path: Path) -> None:
    (tmp_path / "jobs").touch()
    with running(Settings(job_dir=tmp_path / "jobs")) as server:
        answer = server.client.post("/v1/jobs", json={"input": "Hello."})
        assert code(answer)[:2] == (503, "storage_failed") and str(tmp_path) not in answer.text
        assert server.client.get("/v1/jobs").status_code == 503
        assert server.client.post("/v1/audio/speech", json={"input": "Hello."}).status_code == 200
        assert server.client.get("/health/ready").status_code == 200


@pytest.fixture
def guarded(tmp_path: Path) -> Generator[Server]:
    (tmp_path / "keys").write_text(f"{LINE}\n{OTHER_LINE} admin\n", encoding="utf-8")
    with running(Settings(api_keys_file=tmp_path / "keys", max_jobs=1)) as server:
        yield server


def test_each_key_sees_its_own_jobs(guarded: Server) -> None:
    mine, other = ({"authorization": f"Bearer {key}"} for key in (KEY, OTHER_KEY))
    job = guarded.client.post("/v1/jobs", json={"input": "Mine."}, headers=mine).json()
    path = f"/v1/jobs/{job['id']}"
    assert guarded.client.get("/v1/jobs", headers=other).json()["data"] == []
    for method, each in (("GET", path), ("DELETE", path), ("GET", f"{path}/result")):
        assert guarded.client.request(method, each, headers=other).status_code == 404
    assert guarded.client.post("/v1/jobs", json={"input": "Theirs."}, headers=other).status_code == 202
    assert [each["id"] for each in guarded.client.get("/v1/jobs", headers=mine).json()["data"]] == [job["id"]]
    assert guarded.client.get(path).status_code == 401


def test_result_that_is_not_read_to_its_end_leaves_nothing_behind(server: Server) -> None:
    job = made(server.client, input=BOOK[:500], response_format="wav")
    over(server.client, job)
    for _ in range(3):
        with server.client.stream("GET", f"/v1/jobs/{job['id']}/result") as answer:
            next(answer.iter_raw(100))
    assert server.client.get(f"/v1/jobs/{job['id']}/result").status_code == 200
