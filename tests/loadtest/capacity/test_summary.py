import pytest

from loadtest.capacity.objective import Objective
from loadtest.capacity.summary import Spread, summarize
from loadtest.heard import Ending
from loadtest.watch import Reading
from tests.loadtest.capacity.support import heard, refused, stage, summary


def test_percentiles_are_values_that_were_there() -> None:
    spread = Spread.of([*range(1, 101), None])
    assert (spread.p50, spread.p90, spread.p95, spread.p99, spread.max) == (50, 90, 95, 99, 100)
    assert Spread.of([None]) == Spread()


def test_requests_count_that_were_to_be_sent_in_the_window() -> None:
    found = summarize(stage(heard(-2.0), heard(0.0), heard(9.9), heard(10.0)))
    assert found.num_requests == 2 and found.endings == {"ok": 2}
    assert found.offered_hz == pytest.approx(0.2)
    assert found.served_hz == pytest.approx(0.1)  # the other ended after it


@pytest.mark.parametrize(
    ("at_s", "audio_s"),
    [(2.0, 2.0), (-0.55, 1.0), (9.45, 1.0), (-3.0, 0.0), (11.0, 0.0)],
    ids=["within", "half before", "half after", "before", "after"],
)
def test_audio_counts_as_far_as_it_came_in_the_window(at_s: float, audio_s: float) -> None:
    found = summarize(stage(heard(at_s)))  # it comes from 0.1 s to 1 s after
    assert found.audio_s_per_s == pytest.approx(audio_s / 10.0)


def test_speech_that_came_all_at_once_counts_when_it_came() -> None:
    at_once = heard(3.0, ttfa_s=1.0, is_stream=False)
    found = summarize(stage(at_once))
    assert found.audio_s_per_s == pytest.approx(0.2)
    assert found.ttfa_s == Spread() and found.total_s.p50 == pytest.approx(1.0)  # nobody waits for its first audio


def test_waiting_counts_from_when_a_request_was_to_be_sent() -> None:
    late = heard(1.0, sent_s=1.5, first_audio_s=1.7)
    found = summarize(stage(late))
    assert found.ttfa_s.p50 == pytest.approx(0.7) and found.lag_p99_s == pytest.approx(0.5)


def test_what_was_not_served_is_told_by_kind() -> None:
    found = summarize(stage(heard(1.0), refused(2.0), refused(3.0, Ending.CUT), refused(4.0, Ending.UNAVAILABLE)))
    assert found.endings == {"ok": 1, "busy": 1, "cut": 1, "unavailable": 1}
    assert found.not_served_share == 0.75 and found.num_errors == 2
    assert found.audio_s_per_s == pytest.approx(0.2)


def test_stalls_and_underruns_are_by_audio() -> None:
    found = summarize(stage(heard(1.0, num_underruns=2, stalled_s=1.0), heard(2.0)))
    assert found.underruns_per_minute == pytest.approx(30.0)  # two in four seconds
    assert found.stalled_share == pytest.approx(0.2)


def test_readings_are_of_the_window_alone() -> None:
    readings = [
        Reading(-1.0, {"slots used": 9.0}),
        Reading(1.0, {"slots used": 2.0}),
        Reading(2.0, {"slots used": 4.0}),
    ]
    one = stage(heard(1.0))
    assert summarize(type(one)(one.loop, one.level, one.window_s, one.heard, readings)).means == {"slots used": 3.0}


# -- the objective -----------------------------------------------------------------------------------------------------


def test_objective_that_is_kept_misses_nothing() -> None:
    assert Objective().misses(summary(1.0)) == []


def test_everything_that_is_missed_is_told() -> None:
    slow = summarize(
        stage(*(heard(at_s, ttfa_s=0.8, took_s=5.0, sent_s=at_s + 0.06) for at_s in (1.0, 2.0)), refused(3.0))
    )
    assert Objective().misses(slow) == [
        "first audio p95 800 ms",
        "RTF p95 2.50",
        "33.3% of 3 not served",
        "the generator itself was 60 ms late",
    ]


def test_silence_is_no_success() -> None:
    assert Objective().misses(summarize(stage())) == ["no request was sent"]


def test_refusals_count_against_the_objective_even_when_polite() -> None:
    found = summarize(stage(*(heard(float(at_s)) for at_s in range(9)), refused(9.0)))
    assert Objective(not_served_share=0.2).misses(found) == []
    assert Objective(not_served_share=0.1).misses(found) == ["10.0% of 10 not served"]
