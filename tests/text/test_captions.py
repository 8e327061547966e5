"""Captions, in the words of their formats and as FFmpeg reads them."""

import io
from collections.abc import Callable, Sequence

import av
import pytest

from serve_app.text.captions import Cue, srt, vtt

CUES = [("Hello, you.", 0.0, 1.25), ("A & B <i>\n\nare  two.", 1.25, 59.9996), ("End.", 3_599.9999, 36_061.001)]


def test_srt_numbers_its_cues() -> None:
    assert srt(CUES) == (
        "1\n00:00:00,000 --> 00:00:01,250\nHello, you.\n\n"
        "2\n00:00:01,250 --> 00:01:00,000\nA & B <i> are two.\n\n"
        "3\n01:00:00,000 --> 10:01:01,001\nEnd.\n"
    )


def test_vtt_escapes_its_markup() -> None:
    assert vtt(CUES) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nHello, you.\n\n"
        "00:00:01.250 --> 00:01:00.000\nA &amp; B &lt;i&gt; are two.\n\n"
        "01:00:00.000 --> 10:01:01.001\nEnd.\n"
    )


@pytest.mark.parametrize(("write", "name"), [(srt, "srt"), (vtt, "webvtt")])
def test_ffmpeg_reads_the_times(write: Callable[[Sequence[Cue]], str], name: str) -> None:
    with av.open(io.BytesIO(write(CUES).encode()), format=name) as container:
        times_s = [(float(p.pts * p.time_base), float(p.duration * p.time_base)) for p in container.demux() if p.size]
    expected = [(round(start_s, 3), round(round(end_s, 3) - round(start_s, 3), 3)) for _, start_s, end_s in CUES]
    assert times_s == [pytest.approx(each) for each in expected]


def test_no_cues_are_an_empty_file() -> None:
    assert (srt([]), vtt([])) == ("", "WEBVTT\n")
