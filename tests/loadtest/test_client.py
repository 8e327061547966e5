"""The listener tells whole speech from everything else that may come."""

import asyncio
import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from loadtest.client import Client, heard_in
from loadtest.heard import Ending, Heard
from loadtest.judgement import REQUEST_ID
from loadtest.wire import Address, Answer, End
from loadtest.workload.presets import PRESETS
from loadtest.workload.request import Format, Request, Voice, Way
from loadtest.workload.texts import Length, Text
from loadtest.workload.workload import Workload
from serve_app.audio.encoders import encode_wav
from tests.loadtest.faulty import Faults, faulty_service

TEXT = Text("The ferry left the harbour a little after six.", "en", Length.SENTENCE)  # some three seconds
ASKED = Request(3, TEXT, Voice(), Way.STREAM, Format.PCM, 1.0, 7, is_sampled=True)
SPEECH = bytes(2 * 24_000 * 3)
FULL = {"error": {"code": "overloaded", "message": "Come back later."}}


def answer(status: int = 200, body: bytes = SPEECH, end: End = End.COMPLETE, **headers: str) -> Answer:
    told = {REQUEST_ID: "load-3", **{name.replace("_", "-"): value for name, value in headers.items()}}
    reads = [(10.5, len(body) // 2), (11.5, len(body))] if body else []
    return Answer(10.0, end, status, told, bytearray(body), reads, ended_s=11.6)


def heard(got: Answer, asked: Request = ASKED) -> Heard:
    return heard_in(asked, got, intended_s=9.8, request_id="load-3")


def test_speech_is_timed_from_when_it_was_to_be_sent() -> None:
    found = heard(answer())
    assert found.outcome is Ending.OK and found.is_whole and found.digest and not found.why
    assert found.ttfa_s == pytest.approx(0.7)
    assert found.total_s == pytest.approx(1.8)
    assert found.lag_s == pytest.approx(0.2)
    assert found.audio_seconds == pytest.approx(3.0)
    assert found.rtf == pytest.approx(0.6)
    assert (found.largest_gap_s, found.num_underruns) == (1.0, 0)


def test_whole_speech_is_heard_when_its_last_byte_is_there() -> None:
    asked = replace(ASKED, way=Way.WHOLE, format=Format.WAV)
    wav = encode_wav(np.zeros(3 * 24_000, np.float32))
    found = heard(answer(body=json.dumps({"audio_base64": base64.b64encode(wav).decode()}).encode()), asked)
    assert found.outcome is Ending.OK and found.audio_seconds == 3.0 and found.largest_gap_s == 0.0
    assert found.ttfa_s == pytest.approx(1.7)


@pytest.mark.parametrize(
    ("got", "outcome", "why"),
    [
        (answer(429, json.dumps(FULL).encode(), retry_after="1"), Ending.BUSY, ""),
        (answer(429, json.dumps(FULL).encode()), Ending.ERROR, "Retry-After"),
        (
            answer(503, b'{"error": {"code": "unavailable", "message": "-"}}', retry_after="2"),
            Ending.UNAVAILABLE,
            "",
        ),
        (answer(500, b'{"error": {"code": "synthesis_failed"}}'), Ending.ERROR, "status 500, synthesis_failed"),
        (answer(end=End.CUT), Ending.CUT, "cut after 144000 bytes"),
        (answer(end=End.HUNG), Ending.ERROR, "hung"),
        (answer(end=End.NO_ANSWER), Ending.ERROR, "without an answer"),
        (answer(body=SPEECH[:-1]), Ending.ERROR, "no whole pcm"),
        (answer(body=b""), Ending.ERROR, "no whole pcm"),
        (answer(body=SPEECH * 6), Ending.ERROR, "18.0 s of speech"),
        (replace(answer(), headers={REQUEST_ID: "load-4"}), Ending.ERROR, "answered as load-4"),
    ],
)
def test_anything_else_is_told_apart(got: Answer, outcome: Ending, why: str) -> None:
    found = heard(got)
    assert found.outcome is outcome and why in found.why
    assert not found.digest


def test_short_speech_of_a_long_text_is_an_error() -> None:
    asked = replace(ASKED, text=replace(TEXT, text=TEXT.text * 10))
    assert "s of speech where about" in heard(answer(), asked).why


def test_text_without_audio_in_it_is_an_error() -> None:
    asked = replace(ASKED, way=Way.WHOLE, format=Format.WAV)
    assert "no whole wav" in heard(answer(body=b'{"audio_base64": "***"}'), asked).why


@pytest.mark.slow
@pytest.mark.parametrize("has_wrong_audio", [False, True])
def test_audio_of_someone_else_is_noticed(has_wrong_audio: bool) -> None:
    preset = replace(PRESETS["chat"], formats={Format.PCM: 1}, sampled_share=1.0, cloned_share=0.0)

    async def crowd(address: Address) -> tuple[list[Heard], list[str]]:
        client, workload = Client(address), Workload(preset, 1, ("en",))
        found = await asyncio.gather(*(client.speak(workload.next()) for _ in range(20)))
        return found, await client.differences()

    faults = Faults(has_wrong_audio=has_wrong_audio, is_struck=lambda number: number == 5)
    with faulty_service(faults) as service:
        found, differences = asyncio.run(crowd(service.address))
    assert [each.why for each in found if not each.is_ok] == []
    assert len(differences) == has_wrong_audio
