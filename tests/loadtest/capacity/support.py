"""Requests as they might have gone, and stages of them."""

from dataclasses import replace
from typing import Any

from loadtest.capacity.summary import Loop, Spread, Stage, Summary
from loadtest.heard import Ending, Heard

NOBODY = Spread()


def heard(at_s: float, ttfa_s: float = 0.1, audio_s: float = 2.0, took_s: float = 1.0, **changes: Any) -> Heard:
    """A stream that went well, sent when it was to be."""
    made = Heard(
        number=int(1_000 * at_s),
        intended_s=at_s,
        sent_s=at_s,
        first_audio_s=at_s + ttfa_s,
        ended_s=at_s + took_s,
        outcome=Ending.OK,
        status=200,
        num_chars=30,
        language="en",
        form="stream, pcm",
        is_stream=True,
        is_cold=False,
        is_cloned=False,
        speed=1.0,
        audio_seconds=audio_s,
        largest_gap_s=0.2,
        num_bytes=1_000,
        is_whole=True,
    )
    return replace(made, **changes)


def refused(at_s: float, outcome: Ending = Ending.BUSY) -> Heard:
    status = {Ending.BUSY: 429, Ending.UNAVAILABLE: 503}.get(outcome, 200)
    return heard(at_s, first_audio_s=None, audio_seconds=0.0, outcome=outcome, status=status, is_whole=False)


def stage(*requests: Heard, loop: Loop = Loop.OPEN, level: float = 2.0) -> Stage:
    """Its window is from 0 to 10 s."""
    return Stage(loop, level, (0.0, 10.0), requests)


def summary(level: float, audio_s_per_s: float = 1.0, ttfa_s: float = 0.1, loop: Loop = Loop.CLOSED) -> Summary:
    return Summary(
        loop=loop,
        level=level,
        seconds=10.0,
        num_requests=100,
        endings={"ok": 100},
        served_hz=audio_s_per_s / 2.0,
        audio_s_per_s=audio_s_per_s,
        ttfa_s=Spread(*(ttfa_s,) * 5),
        total_s=NOBODY,
        rtf=Spread(*(0.5,) * 5),
        gap_s=NOBODY,
        underruns_per_minute=0.0,
        stalled_share=0.0,
        lag_p99_s=0.0,
        generator_cpu=0.1,
    )
