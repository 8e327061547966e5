"""WS /v1/audio/stream with a real client: text piece by piece, audio in order, and an end however it ends."""

import base64
import io
import json
import time
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from websockets.exceptions import ConnectionClosed

from serve_app.api import connection, utterance
from serve_app.api.utterance import derive_seed
from serve_app.audio.pcm import to_int16_bytes
from serve_app.errors import SynthesisFailed
from serve_app.settings import Settings
from serve_app.speech.request import one_turn
from tests.api.conftest import Server, running
from tests.api.streaming_client import PATH, Client, Heard, connected
from tests.fakes import sine_for

FIRST = "This sentence is long enough to stand on its own."
SECOND = "And here is one more that nobody has to wait for."
THIRD = "The third of them is as long as the others were."
SEED = 7


@pytest.fixture
def settings() -> Settings:
    return Settings(max_text_chars=400)


@pytest.fixture
def client(server: Server) -> Generator[Client]:
    with connected(server.url) as client:
        yield client


def spoken(*sentences: str, seed: int = SEED, **fields: Any) -> bytes:
    """What the fake makes of these pieces."""
    audio, before = b"", ""
    for sentence in sentences:
        audio += to_int16_bytes(sine_for(one_turn(sentence, "en", seed=derive_seed(seed, len(before)), **fields)))
        before += sentence.replace(" ", "")
    return audio


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_text_in_pieces_of_any_size_is_spoken_in_order(server: Server, client: Client, size: int) -> None:
    text = f"{FIRST} {SECOND} {THIRD}"
    client.send("start", utterance="a", seed=SEED)
    for start in range(0, len(text), size):
        client.send("text", text=text[start : start + size])
    client.send("end")
    heard = client.hear()
    assert [request.turns[0].text for request in server.backend.requests] == [FIRST, SECOND, THIRD]
    assert heard.audio == spoken(FIRST, SECOND, THIRD)
    assert heard.events[0] == {
        "type": "started",
        "utterance": "a",
        "format": "pcm",
        "content_type": "audio/pcm",
        "sample_rate": 24_000,
        "seed": SEED,
    }
    assert {event["utterance"] for event in heard.events} == {"a"}
    assert [event["sentence_index"] for event in heard.of("audio")] == sorted(
        event["sentence_index"] for event in heard.of("audio")
    )


def test_sentences_are_timed_in_the_utterance_and_the_end_counts_it_all(client: Client) -> None:
    client.say(f"{FIRST} {SECOND}", seed=SEED, voice="anna")
    heard = client.hear()
    ends_s = [len(FIRST) * 0.05, (len(FIRST) + len(SECOND)) * 0.05]
    sentences = [
        {"index": 0, "text": FIRST, "start_s": 0.0, "end_s": pytest.approx(ends_s[0])},
        {"index": 1, "text": SECOND, "start_s": pytest.approx(ends_s[0]), "end_s": pytest.approx(ends_s[1])},
    ]
    assert heard.of("sentence") == [{"type": "sentence", "utterance": "utterance-1", **each} for each in sentences]
    done = heard.last
    assert (done["type"], done["seed"], done["warnings"]) == ("done", SEED, ["spoken by anna"])
    assert done["sentences"] == sentences and done["duration_s"] == pytest.approx(ends_s[1])
    assert done["usage"]["input_tokens"] == len(FIRST) + len(SECOND)
    assert heard.types.index("sentence") < heard.types.index("done") - 2


def test_first_sentence_is_heard_before_the_text_ends(client: Client) -> None:
    client.send("start", seed=SEED)
    client.send("text", text=f"{FIRST} And then")
    heard = client.hear(until=("sentence",))
    assert heard.audio == spoken(FIRST)


def test_flush_speaks_what_is_held_back(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utterance, "SETTLE_S", 60.0)
    client.send("start", seed=SEED)
    client.send("text", text="Hello there, Dr.")
    client.send("flush")
    assert client.hear(until=("sentence",)).audio == spoken("Hello there, Dr.")


def test_text_that_stops_is_spoken(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utterance, "STALL_S", 0.5)
    client.send("start", seed=SEED)
    client.send("text", text=FIRST)
    heard = client.hear(until=("sentence",))
    assert heard.audio == spoken(FIRST)
    client.send("text", text=" And here the writer thinks")
    heard = client.hear(heard, until=("sentence",))
    assert heard.audio == spoken(FIRST, "And here the writer thinks")


def test_same_text_and_seed_sound_alike_however_the_text_came(client: Client) -> None:
    client.say(f"{FIRST} {SECOND}", seed=SEED)
    whole = client.hear().audio
    client.send("start", seed=SEED)
    client.send("text", text=FIRST)
    client.send("flush")
    client.send("text", text=f" {SECOND}")
    client.send("end")
    assert client.hear().audio == whole


def test_utterances_are_spoken_one_after_the_other_with_their_own_fields(server: Server, client: Client) -> None:
    server.backend.configure(chunk_delay_s=0.005)
    client.say(FIRST, utterance="a", seed=1)
    client.say(SECOND, utterance="b", seed=2, speed=2.0, audio="base64")
    first, second = client.hear(), client.hear()
    assert first.audio == spoken(FIRST, seed=1) and second.audio == spoken(SECOND, seed=2, speed=2.0)
    assert {event["utterance"] for event in first.events} == {"a"}
    assert {event["utterance"] for event in second.events} == {"b"}


def test_a_start_ends_the_text_before_it(client: Client) -> None:
    for seed in (1, 2):
        client.send("start", seed=seed)
        client.send("text", text=FIRST)
    client.send("end")
    assert [client.hear().audio for _ in range(2)] == [spoken(FIRST, seed=1), spoken(FIRST, seed=2)]


def duration_of(file: bytes) -> float:
    with av.open(io.BytesIO(file)) as container:
        frames = list(container.decode(audio=0))
    return sum(frame.samples for frame in frames) / frames[0].sample_rate


@pytest.mark.parametrize(("name", "margin_s"), [("mp3", 0.12), ("opus", 0.01), ("flac", 0.0), ("wav", 0.0)])
def test_joined_audio_is_one_file(client: Client, name: str, margin_s: float) -> None:
    client.say(f"{FIRST} {SECOND}", response_format=name, seed=SEED)
    heard = client.hear()
    assert duration_of(heard.audio) == pytest.approx(heard.last["duration_s"], abs=margin_s + 1e-9)


def test_at_most_two_pieces_are_spoken_ahead(server: Server, client: Client) -> None:
    server.backend.configure(chunk_delay_s=0.02)
    client.say(" ".join([FIRST, SECOND, THIRD] * 2))
    most = 0
    while client.next()[0]["type"] != "done":
        most = max(most, server.backend.num_open_streams)
    assert most == 3


def test_next_piece_begins_once_the_one_before_is_heard(server: Server, client: Client) -> None:
    server.backend.configure(first_chunk_delay_s=0.3)
    client.say(f"{FIRST} {SECOND}")
    client.hear(until=("started",))
    time.sleep(0.15)
    assert server.backend.num_open_streams == 1
    assert client.hear().last["type"] == "done"


# -- ends --------------------------------------------------------------------------------------------------------------


def test_cancel_frees_the_engine_at_once_and_the_connection_goes_on(server: Server, client: Client) -> None:
    server.backend.configure(chunk_delay_s=0.2)
    client.say(f"{FIRST} {SECOND} {THIRD}", utterance="a")
    client.hear(until=("audio",))
    client.send("cancel")
    started_s = time.perf_counter()
    assert client.hear().last == {"type": "cancelled", "utterance": "a"}
    assert time.perf_counter() - started_s < 0.15
    assert server.backend.num_open_streams == 0
    server.backend.configure(chunk_delay_s=0.0)
    client.say(FIRST, seed=SEED)
    assert client.hear().audio == spoken(FIRST)


def test_cancel_by_name_leaves_the_others(server: Server, client: Client) -> None:
    server.backend.configure(chunk_delay_s=0.01)
    client.say(FIRST, utterance="a", seed=SEED)
    client.say(SECOND, utterance="b")
    client.send("cancel", utterance="b")
    client.send("cancel", utterance="nobody")
    assert client.hear().audio == spoken(FIRST)
    assert client.hear().last == {"type": "cancelled", "utterance": "b"}


def test_text_of_a_cancelled_utterance_is_dropped(server: Server, client: Client) -> None:
    client.send("start", utterance="a")
    client.send("cancel")
    client.send("text", text=FIRST)
    client.send("end")
    client.say(SECOND, utterance="b", seed=SEED)
    assert client.hear().last == {"type": "cancelled", "utterance": "a"}
    assert client.hear().audio == spoken(SECOND)
    assert len(server.backend.requests) == 1


def test_departure_frees_the_engine(server: Server) -> None:
    server.backend.configure(chunk_delay_s=0.5)
    with connected(server.url) as client:
        client.say(f"{FIRST} {SECOND}")
        client.hear(until=("audio",))
        assert server.backend.num_open_streams >= 1
    assert server.wait_until_idle() < 0.4
    _wait_for(server, "200", "client_left")


def test_slow_reader_holds_the_speech_back() -> None:
    """Its text is spoken as far as buffers go, and no further."""
    with running(Settings(max_text_chars=20_000)) as server, connected(server.url, max_queue=1) as client:
        client.say(" ".join([FIRST] * 380), seed=SEED)  # 900 s of speech: 43 MB
        client.next()
        time.sleep(1.0)
        num_held = server.backend.num_chunks
        time.sleep(0.5)
        assert server.backend.num_chunks == num_held < 380 * 20
        assert client.next()[0]["type"] == "audio"
        client.connection.socket.close()
        server.wait_until_idle()


def test_failure_is_the_utterances_last_event_after_the_audio_before_it(server: Server, client: Client) -> None:
    server.backend.configure(fails_after_chunks=2)
    client.say(FIRST, utterance="a", seed=SEED)
    heard = client.hear()
    assert heard.audio == spoken(FIRST)[: 2 * 2 * 2_400]
    assert heard.last["utterance"] == "a" and heard.last["error"]["code"] == "synthesis_failed"
    server.backend.configure(fails_after_chunks=None)
    client.say(FIRST, seed=SEED)
    assert client.hear().audio == spoken(FIRST)
    _wait_for(server, "500", "synthesis_failed")


def test_cut_stream_and_a_bug_are_errors_too(server: Server, client: Client) -> None:
    server.backend.configure(is_cut_short=True)
    client.say(FIRST)
    assert client.hear().last["error"]["code"] == "engine_failed"
    server.backend.configure(is_cut_short=False, error=ZeroDivisionError("a mistake of ours"))
    client.say(FIRST)
    error = client.hear().last["error"]
    assert error["code"] == "internal_error" and "mistake" not in error["message"]
    assert server.backend.num_open_streams == 0


def test_overload_says_when_to_come_back(server: Server, client: Client) -> None:
    server.backend.configure(max_streams=0)
    client.say(FIRST)
    last = client.hear().last
    assert (last["error"]["code"], last["error"]["type"], last["retry_after_s"]) == (
        "overloaded",
        "rate_limit_error",
        2.5,
    )


@pytest.mark.parametrize("text", ["", "  \n", "!!! 😀"])
def test_text_with_nothing_to_read_is_an_error(client: Client, text: str) -> None:
    client.say(text)
    assert client.hear().last["error"]["code"] == "empty_text"


def test_pause_alone_goes_with_the_next_piece(server: Server, client: Client) -> None:
    client.send("start", seed=SEED)
    client.send("text", text="[pause:1]")
    client.send("flush")
    client.send("text", text=f" {FIRST}")
    client.send("flush")
    client.send("text", text="[pause:2]")
    client.send("end")
    heard = client.hear()
    assert [request.turns[0].text for request in server.backend.requests] == [f"[pause:1] {FIRST}"]
    assert "nothing that can be read" in heard.last["warnings"][0]


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"speed": "fast"}, "invalid_field", "speed"),
        ({"speed": 9}, "invalid_field", "speed"),
        ({"response_format": "midi"}, "invalid_field", "response_format"),
        ({"utterance": "a b"}, "invalid_field", "utterance"),
        ({"language": "xx"}, "unsupported_language", "language"),
        ({"voice": "nobody"}, "voice_not_found", "voice"),
        ({"reference_audio_b64": "!"}, "invalid_base64", "reference_audio_b64"),
    ],
)
def test_wrong_start_is_refused_and_its_text_is_not_spoken(
    server: Server, client: Client, fields: dict[str, object], code: str, param: str
) -> None:
    client.say(FIRST, **fields)
    error = client.hear().last["error"]
    assert (error["code"], error["param"]) == (code, param)
    client.say(SECOND, seed=SEED)
    assert client.hear().audio == spoken(SECOND)
    assert [request.turns[0].text for request in server.backend.requests] == [SECOND]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "shout"},
        {"text": "no type"},
        5,
        [],
        {"type": "text", "text": "before any start"},
        {"type": "flush"},
        {"type": "end"},
        {"type": "cancel", "utterance": 3},
    ],
)
def test_message_that_says_nothing_is_an_error_and_no_more(client: Client, message: object) -> None:
    client.connection.send(json.dumps(message))
    refused, _ = client.next()
    assert (refused["type"], refused["utterance"]) == ("error", None)
    client.say(FIRST, seed=SEED)
    assert client.hear().audio == spoken(FIRST)


def test_text_of_a_wrong_type_ends_its_utterance(client: Client) -> None:
    client.send("start", utterance="a")
    client.send("text", text=5)
    errors = [client.hear().last for _ in range(2)]
    assert {error["utterance"] for error in errors} == {None, "a"}


def test_too_much_text_is_refused_and_frees_the_engine(server: Server, client: Client) -> None:
    server.backend.configure(chunk_delay_s=0.2)
    client.send("start", utterance="a")
    for _ in range(9):
        client.send("text", text=f"{FIRST} ")
    last = client.hear().last
    assert (last["utterance"], last["error"]["code"]) == ("a", "text_too_long")
    assert server.backend.num_open_streams == 0


def test_too_many_utterances_are_refused(server: Server, client: Client) -> None:
    server.backend.configure(chunk_delay_s=0.05)
    for number in range(6):
        client.say(FIRST, utterance=f"u{number}")
    refused = client.hear().last
    assert (refused["utterance"], refused["error"]["code"]) == ("u5", "overloaded")
    client.send("cancel")
    assert [client.hear().last["utterance"] for _ in range(5)] == [f"u{number}" for number in range(5)]


def test_name_of_an_unfinished_utterance_is_refused(client: Client) -> None:
    for _ in range(2):
        client.send("start", utterance="a")
    assert client.hear(until=("error",)).last["error"]["param"] == "utterance"


def closed(client: Client) -> tuple[int, str]:
    """The code of the close that follows, and the code of the error before it."""
    heard = Heard()
    with pytest.raises(ConnectionClosed) as end:
        client.hear(heard, until=())
    assert end.value.rcvd is not None
    errors = heard.of("error")
    return end.value.rcvd.code, errors[-1]["error"]["code"] if errors else ""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("{", (1007, "invalid_json")),
        (b"\x00\x01", (1003, "invalid_request")),
        ('{"type": "text", "text": "\\ud800"}', (1007, "invalid_json")),
        (" " * (9 * 1024 * 1024), (1009, "upload_too_large")),
    ],
)
def test_broken_protocol_closes_the_connection(
    server: Server, client: Client, message: str | bytes, expected: tuple[int, str]
) -> None:
    server.backend.configure(chunk_delay_s=0.1)
    client.say(f"{FIRST} {SECOND}")
    client.connection.send(message)
    assert closed(client) == expected
    assert server.wait_until_idle() < 0.2


def test_flood_of_messages_closes_the_connection(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_BURST", 20.0)
    client.send("start")
    with suppress(ConnectionClosed):
        for _ in range(200):
            client.send("text", text="x")
    assert closed(client) == (1008, "rate_limited")


def test_ping_is_answered_and_keeps_an_idle_connection(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_TIMEOUT_S", 0.4)
    with connected(server.url) as client:
        for _ in range(4):
            time.sleep(0.2)
            client.send("ping")
            assert client.next()[0] == {"type": "pong"}
        assert closed(client) == (1000, "")


def test_speech_longer_than_the_idle_time_is_not_idle(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_TIMEOUT_S", 0.2)
    server.backend.configure(chunk_delay_s=0.05)
    with connected(server.url) as client:
        client.say(FIRST, seed=SEED)
        assert client.hear().audio == spoken(FIRST)


def test_reference_is_cloned(server: Server, client: Client) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(24_000 * 7) / 20), 24_000, format="WAV")
    client.say(FIRST, reference_audio_b64=base64.b64encode(file.getvalue()).decode())
    assert client.hear().last["type"] == "done"
    reference = server.backend.requests[0].turns[0].voice.reference
    assert reference is not None and len(reference.samples) == 24_000 * 7


def test_language_is_found_from_the_first_piece(server: Server, client: Client) -> None:
    client.say("Guten Morgen, meine Damen und Herren, wie geht es Ihnen? Heute ist ein schöner Tag.", language="auto")
    client.hear()
    assert {request.turns[0].language for request in server.backend.requests} == {"de"}


# -- records -----------------------------------------------------------------------------------------------------------


def _wait_for(server: Server, status: str, code: str, count: int = 1) -> None:
    deadline_s = time.perf_counter() + 5.0
    while server.metric("xtts_requests_total", route=PATH, status=status, code=code) < count:
        assert time.perf_counter() < deadline_s, f"no utterance ended with {status} {code}"
        time.sleep(0.005)


def test_each_utterance_has_a_record(server: Server, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "serve_app.requests"):
        client.send("start", utterance="a", voice="anna")
        time.sleep(0.3)  # the writer's time is not the first audio's
        client.send("text", text=f"{FIRST} A secret, nothing else.")
        client.send("end")
        client.hear()
        client.say(FIRST)
        client.hear(until=("audio",))
        client.send("cancel")
        client.hear()
        _wait_for(server, "200", "ok")
        assert server.metric("xtts_requests_open") <= 1
    assert server.metric("xtts_first_audio_seconds_bucket", route=PATH, le="0.3") >= 1
    assert server.metric("xtts_underruns_total") == 0
    assert server.metric("xtts_real_time_factor_count", route=PATH) == 0
    facts = caplog.records[0].facts  # type: ignore[attr-defined]
    assert (facts["method"], facts["route"], facts["utterance"], facts["code"]) == ("WS", PATH, "a", "ok")
    assert (facts["voice"], facts["sentences"], facts["num_chars"]) == ("anna", 2, len(FIRST) + 24)
    assert "secret" not in caplog.text
    assert len(client.connection.response.headers["x-request-id"]) == 32  # type: ignore[union-attr]
    assert facts["request_id"] == client.connection.response.headers["x-request-id"]  # type: ignore[union-attr]


def test_failure_of_a_piece_ends_the_others(server: Server, client: Client) -> None:
    server.backend.configure(error=SynthesisFailed("A sentence could not be spoken."))
    client.say(f"{FIRST} {SECOND} {THIRD}")
    assert client.hear().last["error"]["code"] == "synthesis_failed"
    assert server.backend.num_open_streams == 0
