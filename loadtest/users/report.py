"""What was heard, as Locust's events: one row of its tables for each thing that can be slow."""

from typing import Any

from loadtest.heard import Ending, Heard

# Types of request in Locust's tables. All but `RTF` are in milliseconds.
SPEECH = "speech"  # until the last byte; its failures are the errors
FIRST_AUDIO = "first audio"
LARGEST_GAP = "largest gap"  # between two arrivals of audio
RTF = "RTF, thousandths"  # of the speech's length, until the last byte
UNDERRUN = "underrun"  # streams that fell silent for a player that starts at once, and for how long
BUSY = "429"  # until the refusal: no error, the service says that it is full


class SpeechFailed(Exception):
    """`why` is its message."""


def report(environment: Any, name: str, heard: Heard) -> None:
    """Fires the events of one speech under `name`."""
    fire = environment.events.request.fire
    total_ms = 1e3 * (heard.ended_s - heard.sent_s)
    if heard.outcome is Ending.BUSY:
        fire(request_type=BUSY, name=name, response_time=total_ms, response_length=0, exception=None, context={})
        return
    failure = None if heard.is_ok else SpeechFailed(f"{heard.outcome}: {heard.why}" if heard.why else heard.outcome)
    fire(
        request_type=SPEECH,
        name=name,
        response_time=total_ms,
        response_length=heard.num_bytes,
        exception=failure,
        context={},
    )
    if failure is None:
        for kind, value in _measures(heard):
            fire(request_type=kind, name=name, response_time=value, response_length=0, exception=None, context={})


def _measures(heard: Heard) -> list[tuple[str, float]]:
    found = [] if heard.ttfa_s is None else [(FIRST_AUDIO, 1e3 * heard.ttfa_s)]
    if heard.rtf is not None:
        found.append((RTF, 1e3 * heard.rtf))
    if heard.is_stream:
        found.append((LARGEST_GAP, 1e3 * heard.largest_gap_s))
    if heard.num_underruns:
        found.append((UNDERRUN, 1e3 * heard.stalled_s))
    return found
