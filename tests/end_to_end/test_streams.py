"""Streams really stream; formats, speeds and seeds do what they promise."""

import struct
import time
from dataclasses import replace

import numpy as np
import pytest

from tests.end_to_end.asking import (
    LONG_TEXT,
    SPEECH,
    TEXTS,
    WAV_HEADER_BYTES,
    Asked,
    hear,
    num_codes,
    num_samples,
)
from tests.end_to_end.serving import Server

UNKNOWN_LENGTH = 0xFFFFFFFF
CLONED = Asked(TEXTS["ko"], "ko", voice="first", seed=7)


def test_first_audio_is_far_ahead_of_the_last(local_server: Server) -> None:
    started_s = time.perf_counter()
    arrivals_s, num_bytes = [], 0
    with (
        local_server.client() as client,
        client.stream("POST", SPEECH, json={"input": LONG_TEXT, "response_format": "pcm"}) as answer,
    ):
        assert answer.headers["transfer-encoding"] == "chunked"
        for block in answer.iter_raw():
            arrivals_s.append(time.perf_counter() - started_s)
            num_bytes += len(block)
    assert num_bytes / 2 / 24_000 > 60
    assert len(arrivals_s) > 30
    assert arrivals_s[0] < arrivals_s[-1] / 5
    assert np.diff(arrivals_s).max() < arrivals_s[-1] / 2


def test_wav_stream_is_a_header_of_unknown_length_and_the_pcm(local_server: Server) -> None:
    body = {"input": TEXTS["en"] + ". " + TEXTS["en"], "seed": 3}
    with local_server.client() as client:
        wav = client.post(SPEECH, json={**body, "response_format": "wav"})
        pcm = client.post(SPEECH, json={**body, "response_format": "pcm"})
    assert (wav.headers["content-type"], pcm.headers["content-type"]) == ("audio/wav", "audio/pcm")
    assert pcm.headers["x-sample-rate"] == "24000"
    assert "content-length" not in wav.headers
    assert struct.unpack("<4sI4s", wav.content[:12]) == (b"RIFF", UNKNOWN_LENGTH, b"WAVE")
    assert struct.unpack("<4sI", wav.content[36:WAV_HEADER_BYTES]) == (b"data", UNKNOWN_LENGTH)
    assert wav.content[WAV_HEADER_BYTES:] == pcm.content


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_streamed_equals_whole(local_server: Server, speed: float) -> None:
    whole = replace(CLONED, text=f"{TEXTS['ko']}. {TEXTS['ko']}!", speed=speed)
    with local_server.client() as client:
        one, other = hear(client, whole), hear(client, replace(whole, is_streamed=True))
    assert len(one) == len(other)
    assert abs(one.astype(int) - other).max() <= 4  # 1e-4 of full scale


def test_speed_divides_the_duration(local_server: Server) -> None:
    codes = num_codes(CLONED.text, "ko")
    with local_server.client() as client:
        heard = {speed: len(hear(client, replace(CLONED, speed=speed))) for speed in (0.5, 1.0, 2.0)}
    assert heard == {speed: num_samples(codes, speed) for speed in heard}
    for speed, samples in heard.items():
        assert samples == pytest.approx(heard[1.0] / speed, abs=5 * 256)  # what one code is worth, in frames


@pytest.mark.parametrize("is_streamed", [False, True])
def test_seed_decides_the_bytes(local_server: Server, is_streamed: bool) -> None:
    asked = replace(CLONED, is_streamed=is_streamed)
    with local_server.client() as client:
        one, again, other = (hear(client, each) for each in (asked, asked, replace(asked, seed=8)))
    np.testing.assert_array_equal(one, again)
    assert len(one) == len(other) and not np.array_equal(one, other)


def test_drawn_seed_is_reported_and_speaks_the_same_again(local_server: Server) -> None:
    with local_server.client() as client:
        first = client.post("/synthesize_base64", json={"text": TEXTS["ko"]}).json()
        second = client.post("/synthesize_base64", json={"text": TEXTS["ko"]}).json()
        again = client.post("/synthesize_base64", json={"text": TEXTS["ko"], "seed": first["seed"]}).json()
    assert first["audio_base64"] == again["audio_base64"] != second["audio_base64"]


def test_uploaded_and_inline_references_are_one_voice(local_server: Server) -> None:
    asked = replace(CLONED, is_streamed=True)
    with local_server.client() as client:
        inline, upload = hear(client, asked), hear(client, replace(asked, is_upload=True))
        other = hear(client, replace(asked, voice="third"))
    np.testing.assert_array_equal(inline, upload)
    assert not np.array_equal(inline, other)
