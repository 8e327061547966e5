"""The simulation held against a run: equal to its own, unequal to another machine's, and by the command."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from loadtest.__main__ import app
from loadtest.planner.assumptions import Assumptions, load_model
from loadtest.planner.calibrate import num_sentences
from loadtest.planner.calibration import (
    Load,
    Run,
    Spoken,
    assumed_workload,
    checks,
    compared,
    fitted,
    lines,
    measured,
    simulated,
)
from loadtest.planner.options import Scaling
from loadtest.planner.profile import Profile
from loadtest.planner.request import Request
from loadtest.planner.simulation import Scenario, simulate
from loadtest.planner.traffic import constant
from loadtest.planner.workload import Workload
from serve_app.engine.sequence import PREFIX_EXTRA_ROWS
from tests.loadtest.planner.examples import example, plain

NUM, CHARS, AUDIO_S = 60, 60, 4.0


def as_it_would_be(profile: Profile, rate_hz: float, num_at_once: int = 0) -> Load:
    """A run of requests of one sentence, played by the simulation itself. `num_at_once`: in a closed loop."""
    sent_s = np.cumsum(np.random.default_rng(1).exponential(1.0 / rate_hz, NUM))
    shape = 1, round(AUDIO_S * profile.codes_per_s), PREFIX_EXTRA_ROWS + CHARS // 3
    trace = [Request(float(each), shape, is_cold=False, is_streamed=True) for each in sent_s]
    scenario = Scenario(profile, constant(0.0, float(sent_s[-1]) + 1.0), Workload(), Scaling.fixed(1))
    tables = simulate(scenario, trace=trace, num_at_once=num_at_once).tables
    assert num_at_once or np.array_equal(tables.sent_s, sent_s)
    first_s = tables.sent_s + tables.ttfa_s
    last_s = first_s + tables.rtf * tables.audio_s
    spoken = [
        Spoken(sent, first, last, audio, CHARS, 1, is_streamed=True, is_cold=False)
        for sent, first, last, audio in zip(tables.sent_s, first_s, last_s, tables.audio_s, strict=True)
    ]
    return Load(0.5, rate_hz, spoken)


def test_a_simulation_equals_itself() -> None:
    profile = example()
    load = as_it_would_be(profile, 0.5)
    real, played = measured(load), simulated(profile, load)
    assert played.ttfa_p50_s == pytest.approx(real.ttfa_p50_s) and played.ttfa_p95_s == pytest.approx(real.ttfa_p95_s)
    assert played.audio_s_per_s == pytest.approx(real.audio_s_per_s)
    assert all(check.is_ok for check in checks(compared(profile, [load])))
    assert any("(+0%)" in line for line in lines(compared(profile, [load])))


def test_a_slower_machine_is_noticed() -> None:
    load = as_it_would_be(plain(8), 0.5)
    failed = [check.name for check in checks(compared(plain(8, step_s=0.02), [load])) if not check.is_ok]
    assert failed == ["50%: first audio p50 within 20%", "50%: first audio p95 within 30%"]


def test_a_closed_loop_keeps_so_many_at_once() -> None:
    """Of three, one is sent when one has ended: there are never more, nor fewer until the last."""
    spoken = as_it_would_be(plain(8), 1e6, num_at_once=3).spoken
    ended_s = sorted(each.last_s for each in spoken)
    assert [each.sent_s for each in spoken[3:]] == pytest.approx(ended_s[: NUM - 3])


@pytest.mark.parametrize("slowdown", [0.7, 1.0, 1.9])
def test_the_slowdown_of_a_service_is_found(slowdown: float) -> None:
    profile = example()
    slowed = profile.model_copy(update={"slowdown": slowdown})
    run = Run(profile.slots, as_it_would_be(slowed, 1e6, profile.slots), [as_it_would_be(slowed, 0.3)])
    found = fitted(profile, run)
    assert found.slowdown == pytest.approx(slowdown, rel=0.03)
    assert all(check.is_ok for check in checks(compared(found, run.loads)))


def test_a_request_that_was_lost_is_a_failure() -> None:
    load = replace(as_it_would_be(example(), 0.5), num_lost=1)
    assert [check.name for check in checks(compared(example(), [load])) if not check.is_ok] == ["50%: all served"]


def test_sentences_are_counted_as_the_service_cuts() -> None:
    assert num_sentences("Yes.", "en") == 1
    assert num_sentences("The first train leaves at seven. The last one comes back late in the evening.", "en") == 2


def test_what_was_asked_is_what_a_plan_may_assume(tmp_path: Path) -> None:
    file, load = tmp_path / "assume.json", as_it_would_be(example(), 0.5)
    file.write_text(json.dumps({"workload": assumed_workload(Run(1, load, [load]))}), encoding="utf-8")
    workload = load_model(Assumptions, file, "assumptions").workload
    assert workload.lengths == (CHARS,) * (2 * NUM) and workload.streamed_share == 1.0
    assert workload.mean_audio_s() == pytest.approx(AUDIO_S, rel=0.02)


@pytest.mark.slow
def test_the_command_runs_a_service_and_tells_a_wrong_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine takes a second for a step of the tiny model."""
    monkeypatch.setenv("XTTS_DTYPE", "float32")
    profile = tmp_path / "slow.json"
    profile.write_text(plain(2, step_s=1.0).model_dump_json(exclude_none=True), encoding="utf-8")
    options = ["--model", "synthetic:tiny", "--shares", "0.5", "--seconds", "6", "--out", str(tmp_path)]
    found = CliRunner().invoke(app, ["calibrate", str(profile), *options])
    assert found.exit_code == 1 and "FAILED: 50%: first audio p50 within 20%" in found.output, found.output
    (load,) = json.loads((tmp_path / "calibration.json").read_text(encoding="utf-8"))["loads"]
    assert load["spoken"] and not load["num_lost"]


def test_a_recorded_run_is_held_against_another_profile(tmp_path: Path) -> None:
    """Twice as slow alone is half the slowdown in the service."""
    run, recorded = Run(8, as_it_would_be(plain(8), 1e6, 8), [as_it_would_be(plain(8), 0.5)]), tmp_path / "run.json"
    recorded.write_text(json.dumps(asdict(run)), encoding="utf-8")
    profile = tmp_path / "slow.json"
    profile.write_text(plain(8, step_s=0.02).model_dump_json(exclude_none=True), encoding="utf-8")
    options = ["--recorded", str(recorded), "--out", str(tmp_path)]
    found = CliRunner().invoke(app, ["calibrate", str(profile), *options])
    assert found.exit_code == 0, found.output
    assert load_model(Profile, tmp_path / "profile.json", "a profile").slowdown == pytest.approx(0.5, rel=0.01)
    recorded.write_text("{}", encoding="utf-8")
    assert CliRunner().invoke(app, ["calibrate", str(profile), *options]).exit_code == 2


def test_shares_that_are_none_are_told() -> None:
    for wrong in ("1.5", "half", ""):
        found = CliRunner().invoke(app, ["calibrate", "nowhere.json", "--shares", wrong])
        assert found.exit_code == 2
