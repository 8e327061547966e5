"""How long a stream is after so many bytes, by the service's own encoders; and what a player makes of arrivals."""

import numpy as np
import pytest

from loadtest.timeline import Hearing, Timeline, hearing, timeline
from loadtest.workload.request import Format
from serve_app.audio.encoders import encode_whole, encoder_for

SECONDS = 2.0
CODEC_S = 0.15  # of a codec's own silence, and its last frame

TWO_READS = Timeline(((100, 1.0), (200, 2.0), (300, 3.0)), is_whole=True)


def spoken(format_: Format) -> bytes:
    samples = 0.3 * np.sin(np.arange(round(24_000 * SECONDS)) * 0.05).astype(np.float32)
    return encode_whole(samples.astype(np.float32), encoder_for(format_.value))


@pytest.mark.parametrize("format_", Format)
def test_length_is_known_from_the_bytes(format_: Format) -> None:
    body = spoken(format_)
    line = timeline(format_, body)
    assert line.is_whole
    assert line.seconds == pytest.approx(SECONDS, abs=0.0 if format_.is_exact else CODEC_S)
    half = line.seconds_at(len(body) // 2)
    assert half == pytest.approx(line.seconds / 2, rel=0.5 if format_ is Format.OPUS else 0.1)
    assert line.seconds_at(0) == 0.0


@pytest.mark.parametrize("format_", Format)
def test_what_is_missing_is_noticed(format_: Format) -> None:
    body = spoken(format_)
    cut = timeline(format_, body[:-1])
    assert not cut.is_whole and cut.seconds < timeline(format_, body).seconds + 1e-9
    assert not timeline(format_, b"").is_whole
    assert format_ is Format.PCM or timeline(format_, b"<html>no audio at all, but some bytes</html>").seconds == 0.0


@pytest.mark.parametrize(
    ("reads", "heard"),
    [
        ([], Hearing(None)),
        ([(5.0, 50)], Hearing(None)),  # a header
        ([(5.0, 300)], Hearing(5.0)),
        ([(4.0, 50), (5.0, 100), (5.5, 150), (5.8, 300)], Hearing(5.0, 0.8)),
        ([(5.0, 100), (6.5, 200), (7.0, 300)], Hearing(5.0, 1.5, 1, 0.5)),
        ([(5.0, 100), (6.5, 200), (8.0, 300)], Hearing(5.0, 1.5, 2, 1.0)),
    ],
    ids=["nothing", "header only", "at once", "ahead", "late once", "late twice"],
)
def test_player_that_starts_at_the_first_audio(reads: list[tuple[float, int]], heard: Hearing) -> None:
    found = hearing(TWO_READS, reads)
    assert (found.first_s, found.num_underruns) == (heard.first_s, heard.num_underruns)
    assert found.largest_gap_s == pytest.approx(heard.largest_gap_s)
    assert found.stalled_s == pytest.approx(heard.stalled_s)
