"""Whole runs: the same seed, more replicas, refusals, failures, and a part of a fleet for the whole."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from loadtest.planner.options import Cluster, Failure, Scaling, ServeOptions
from loadtest.planner.outcome import Objective, Outcome
from loadtest.planner.plan import recovery_s
from loadtest.planner.request import Ending
from loadtest.planner.simulation import Scenario, simulate
from loadtest.planner.traffic import constant
from loadtest.planner.workload import Workload
from tests.loadtest.planner.examples import GPU, example, plain

MIXED = Workload(cold_voice_share=0.05, streamed_share=0.7)
EASY = Objective(ttfa_p95_s=2.0, max_stalled_share=1.0)


def scenario(replicas: int, rate_hz: float, seconds: float = 300.0, **fields: object) -> Scenario:
    made = Scenario(example(), constant(rate_hz, seconds), MIXED, Scaling.fixed(replicas))
    return replace(made, **fields)  # type: ignore[arg-type]


def test_a_seed_decides_everything() -> None:
    first, again, other = (simulate(scenario(3, 2.0), seed) for seed in (1, 1, 2))
    for name in ("sent_s", "ending", "ttfa_s", "rtf", "audio_s", "stalled_s"):
        assert np.array_equal(getattr(first.tables, name), getattr(again.tables, name), equal_nan=True)
    assert first.timeline.rows == again.timeline.rows
    assert not np.array_equal(first.tables.sent_s[:50], other.tables.sent_s[:50])


def test_a_run_ends_though_requests_do_not() -> None:
    """A step of ten minutes: nothing is over when patience is, whatever the fraction of a second at which that is."""
    outcome = simulate(replace(scenario(1, 0.5, seconds=20.4), profile=plain(8, step_s=600.0)))
    assert outcome.num_unfinished == len(simulate(scenario(1, 0.5, seconds=20.4)).tables.sent_s)


def test_more_replicas_are_never_worse() -> None:
    outcomes = [simulate(scenario(number, 3.0)).figures for number in (1, 2, 4, 8, 16)]
    for fewer, more in pairwise(outcomes):
        assert more.error_share <= fewer.error_share
        assert more.ttfa_p95_s <= fewer.ttfa_p95_s * 1.02
        assert more.rtf_p95 <= fewer.rtf_p95 * 1.02
        assert more.stalled_share <= fewer.stalled_share + 0.01


def test_every_request_ends_once_and_refusals_are_counted() -> None:
    """Ten times what a replica can do: places for 18 + 64, the rest is refused in the moment in which it comes."""
    outcome = simulate(scenario(1, 12.0, workload=Workload()))
    counted = sum(outcome.num_of(ending) for ending in Ending)
    assert counted == len(outcome.tables.sent_s) and outcome.num_unfinished == 0
    options = ServeOptions.of(example(), Scaling.fixed(1), Cluster())
    assert max(outcome.timeline.column("ongoing")) <= options.max_ongoing
    assert max(outcome.timeline.column("queued")) <= options.max_queued
    refused = outcome.num_of(Ending.REFUSED)
    assert refused > 0.5 * counted
    lost_share = (refused + outcome.num_of(Ending.LATE)) / counted
    assert outcome.figures.error_share == pytest.approx(lost_share)
    assert not outcome.keeps(Objective())


def test_what_is_carried_is_what_a_replica_can_do() -> None:
    """Under more than it can do, plain steps of 10 ms over 8 slots give 800 codes a second and no more."""
    work = Workload(distribution="fixed", median_chars=60, streamed_share=0.0)
    made = scenario(1, 20.0, profile=plain(8), workload=work)
    outcome = simulate(made)
    most_s = 800.0 / made.profile.codes_per_s
    spoken_s = outcome.audio_s / (outcome.duration_s + 10.0)
    assert 0.9 * most_s < spoken_s <= 1.02 * most_s


def test_cold_voices_and_long_texts_cost_time() -> None:
    base = scenario(4, 1.0, workload=Workload(distribution="fixed", median_chars=60))
    cold = replace(base, workload=replace(base.workload, cold_voice_share=1.0))
    assert simulate(cold).figures.ttfa_p50_s > simulate(base).figures.ttfa_p50_s + 0.9
    whole = simulate(replace(base, workload=replace(base.workload, streamed_share=0.0)))
    longer = simulate(replace(base, workload=Workload(distribution="fixed", median_chars=600, streamed_share=0.0)))
    assert longer.figures.ttfa_p50_s > 2.0 * whole.figures.ttfa_p50_s


def test_a_failed_region_cuts_streams_and_the_fleet_comes_back() -> None:
    failure = Failure(at_s=200.0, share=0.5)
    made = scenario(8, 3.0, 800.0, failures=(failure,), cluster=Cluster(node_start_s=60.0))
    outcome = simulate(made)
    times, running = outcome.timeline.column("time_s"), outcome.timeline.column("running")
    assert set(running[(times > 201.0) & (times < 278.0)]) == {4.0}
    assert running[times > 282.0].min() == 8.0
    assert 0 < outcome.num_of(Ending.LOST) < 60
    recovered = recovery_s(outcome, EASY, failure)
    assert recovered is not None and 0.0 < recovered < 300.0
    calm = simulate(replace(made, failures=()))
    assert calm.num_of(Ending.LOST) == 0
    assert outcome.paid_s == pytest.approx(
        calm.paid_s
    )  # one in a lost node's place is paid for from when it is asked for


def test_a_region_that_stays_away_leaves_its_traffic_to_the_others() -> None:
    failure = Failure(at_s=200.0, share=0.5, are_nodes_to_be_had=False, traffic=2.0)
    outcome = simulate(scenario(8, 2.0, 600.0, failures=(failure,)))
    assert outcome.timeline.column("running")[-1] == 4.0
    sent_s = outcome.tables.sent_s
    assert (sent_s > 400.0).sum() == pytest.approx(2.0 * (sent_s < 200.0).sum(), rel=0.15)


def test_a_dead_process_is_started_anew_on_its_node() -> None:
    failure = Failure(at_s=100.0, share=1.0, takes_nodes=False)
    outcome = simulate(scenario(2, 0.5, failures=(failure,)))
    times, running = outcome.timeline.column("time_s"), outcome.timeline.column("running")
    assert set(running[(times > 100.0) & (times < 120.0)]) == {0.0}
    assert running[times > 121.0].min() == 2.0
    assert max(outcome.timeline.column("paid")) == 2.0


def close(part: Outcome, whole: Outcome) -> bool:
    """Within a tenth in time, a percent in shares."""
    one, other = part.figures, whole.figures
    return (
        one.ttfa_p95_s == pytest.approx(other.ttfa_p95_s, rel=0.10)
        and one.rtf_p95 == pytest.approx(other.rtf_p95, rel=0.10)
        and one.error_share == pytest.approx(other.error_share, abs=0.01)
        and one.stalled_share == pytest.approx(other.stalled_share, abs=0.01)
        and part.paid_s == pytest.approx(whole.paid_s)
        and part.audio_s == pytest.approx(whole.audio_s, rel=0.05)
    )


@pytest.mark.parametrize("rate_hz", [0.3, 0.45])
def test_a_part_of_a_fleet_speaks_for_the_whole(rate_hz: float) -> None:
    """24 of 96 replicas with a quarter of the traffic, at an easy load and near the limit."""
    made = scenario(96, 96 * rate_hz, 200.0, workload=Workload())
    whole, part = simulate(made), simulate(replace(made, most_simulated=24))
    assert (whole.share, part.share) == (1.0, 0.25)
    assert close(part, whole), (part.figures, whole.figures)
    assert part.num_events < 0.3 * whole.num_events


@pytest.mark.slow
def test_a_part_of_an_overloaded_fleet_refuses_as_the_whole() -> None:
    made = scenario(96, 96 * 1.5, 120.0, workload=Workload())
    whole, part = simulate(made), simulate(replace(made, most_simulated=24))
    assert part.figures.error_share == pytest.approx(whole.figures.error_share, abs=0.02)
    assert whole.figures.error_share > 0.1


@pytest.mark.slow
def test_ten_thousand_replicas_are_simulated_in_part() -> None:
    made = Scenario(example(GPU), constant(50_000.0, 60.0), Workload(), Scaling.fixed(10_000), most_simulated=20)
    outcome = simulate(made)
    assert outcome.timeline.column("running")[-1] == 10_000.0
    assert outcome.paid_s == pytest.approx(10_000 * 60.0)
    assert outcome.figures.error_share == 0.0
