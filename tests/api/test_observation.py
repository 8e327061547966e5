"""What is known of a request when it is over: metrics as Prometheus reads them, and one line of the log."""

import logging
import time

import httpx
import pytest

from serve_app.api.observation import Playback
from tests.api.conftest import Server

ROUTE, WHOLE = "/v1/audio/speech", "/synthesize_base64"


def _requests(server: Server, route: str, status: str, code: str) -> float:
    return server.metric("xtts_requests_total", route=route, status=status, code=code)


def _wait_for(server: Server, route: str, status: str, code: str, count: int = 1) -> None:
    """The record is closed a moment after the client has its answer."""
    deadline_s = time.perf_counter() + 5.0
    while _requests(server, route, status, code) < count:
        assert time.perf_counter() < deadline_s, f"no request to {route} ended with {status} {code}"
        time.sleep(0.005)


def test_finished_request_is_counted_with_its_times(server: Server) -> None:
    server.backend.configure(first_chunk_delay_s=0.12)
    assert server.client.post(ROUTE, json={"input": "Hello, you."}).status_code == 200
    _wait_for(server, ROUTE, "200", "ok")
    assert server.metric("xtts_first_audio_seconds_bucket", route=ROUTE, le="0.1") == 0
    assert server.metric("xtts_first_audio_seconds_bucket", route=ROUTE, le="1.0") == 1
    assert server.metric("xtts_audio_seconds_total", route=ROUTE) == pytest.approx(11 * 1_200 / 24_000)
    assert server.metric("xtts_stage_seconds_sum", stage="synthesis") == pytest.approx(0.25)
    assert server.metric("xtts_real_time_factor_count", route=ROUTE) == 1
    assert server.metric("xtts_underruns_total") == 0


def test_whole_answers_are_counted_by_their_route(server: Server) -> None:
    assert server.client.post(WHOLE, json={"text": "Hello."}).status_code == 200
    _wait_for(server, WHOLE, "200", "ok")
    assert server.metric("xtts_request_seconds_count", route=WHOLE) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"input": " "}, "400", "empty_text"),
        ({"input": "x" * 201}, "422", "text_too_long"),
        ({"input": "x", "voice": "nobody"}, "404", "voice_not_found"),
        ({}, "422", "invalid_field"),
    ],
)
def test_refusal_is_counted_by_its_code(server: Server, body: dict[str, str], status: str, code: str) -> None:
    answer = server.client.post(ROUTE, json=body)
    assert (str(answer.status_code), answer.json()["error"]["code"]) == (status, code)
    _wait_for(server, ROUTE, status, code)
    assert server.metric("xtts_request_seconds_count", route=ROUTE) == 0


def test_overload_and_large_bodies_are_counted(server: Server) -> None:
    server.backend.configure(max_streams=0)
    assert server.client.post(ROUTE, json={"input": "x"}).status_code == 429
    _wait_for(server, ROUTE, "429", "overloaded")
    assert server.client.post(ROUTE, content=b"x" * 2_000_000).status_code == 413
    _wait_for(server, "none", "413", "upload_too_large")  # refused before a route is looked for


def test_stream_that_failed_midway_is_truncated(server: Server) -> None:
    server.backend.configure(fails_after_chunks=1)
    with pytest.raises(httpx.RemoteProtocolError):
        server.client.post(ROUTE, json={"input": "Hello, you there."})
    _wait_for(server, ROUTE, "200", "truncated")


def test_client_that_leaves_is_no_error(server: Server) -> None:
    server.backend.configure(chunk_delay_s=0.2)
    with server.client.stream("POST", ROUTE, json={"input": "Hello, you there, again and again."}) as answer:
        blocks = answer.iter_raw()
        next(blocks)
        assert server.metric("xtts_requests_open") == 1
    _wait_for(server, ROUTE, "200", "client_left")
    assert server.metric("xtts_requests_open") == 0
    assert _requests(server, ROUTE, "200", "ok") == 0


def test_stream_slower_than_its_player_is_an_underrun(server: Server) -> None:
    server.backend.configure(chunk_delay_s=0.25)  # a chunk has 0.1 s of audio
    server.client.post(ROUTE, json={"input": "Hello."})  # three chunks
    _wait_for(server, ROUTE, "200", "ok")
    assert server.metric("xtts_underruns_total") == 2
    assert 0.24 < server.metric("xtts_largest_gap_seconds_sum", route=ROUTE) < 1.0
    server.client.post(WHOLE, json={"text": "Hello."})  # nobody plays it while it comes
    _wait_for(server, WHOLE, "200", "ok")
    assert server.metric("xtts_underruns_total") == 2


def test_unknown_paths_make_no_labels(server: Server) -> None:
    for name in ("a", "b"):
        assert server.client.get(f"/{name}").status_code == 404
    _wait_for(server, "none", "404", "not_found", count=2)


def test_log_has_a_line_with_the_id_and_without_the_text(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "serve_app.requests"):
        server.client.post(ROUTE, json={"input": "A secret."}, headers={"x-request-id": "abc-1"})
        server.client.get("/health/live")
        _wait_for(server, ROUTE, "200", "ok")
        time.sleep(0.05)
    records = [record for record in caplog.records if record.name == "serve_app.requests"]
    assert len(records) == 1
    facts = records[0].facts  # type: ignore[attr-defined]
    assert (facts["request_id"], facts["route"], facts["code"], facts["num_chars"]) == ("abc-1", ROUTE, "ok", 9)
    assert facts["first_audio_seconds"] <= facts["seconds"]
    assert "secret" not in records[0].getMessage()


def test_slow_reader_is_no_underrun() -> None:
    """It asks late, and what it asks for is there."""
    playback = Playback()
    playback.heard(0.1, asked_s=0.0, came_s=1.0)
    playback.heard(0.1, asked_s=9.0, came_s=9.001)
    assert playback.num_underruns == 0
    assert playback.largest_gap_s == pytest.approx(0.001)
    playback.heard(0.1, asked_s=9.002, came_s=9.3)
    assert playback.num_underruns == 1
