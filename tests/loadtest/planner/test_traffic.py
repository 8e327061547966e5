"""Curves, arrivals, texts, and files that hold something else."""

from pathlib import Path

import numpy as np
import pytest

from loadtest.planner.assumptions import Assumptions, load_model
from loadtest.planner.profile import Profile
from loadtest.planner.traffic import DAY_S, Curve, constant, daily, load_curve, spike
from loadtest.planner.workload import MAX_CODES, Workload
from serve_app.errors import SettingsError
from tests.loadtest.planner.examples import CPU, example


def test_arrivals_follow_the_curve() -> None:
    curve = spike(2.0, 20.0, 1_000.0, 500.0, 3_000.0)
    times = curve.arrivals_s(np.random.default_rng(1))
    assert (np.diff(times) >= 0.0).all()
    inside = ((times >= 1_000.0) & (times < 1_500.0)).sum()
    assert inside == pytest.approx(10_000, rel=0.05)
    assert len(times) - inside == pytest.approx(5_000, rel=0.05)


def test_arrivals_on_a_slope_come_as_its_area() -> None:
    times = Curve(np.array([0.0, 1_000.0]), np.array([0.0, 20.0])).arrivals_s(np.random.default_rng(1))
    assert (times < 500.0).mean() == pytest.approx(0.25, abs=0.02)


def test_gaps_of_constant_traffic_are_exponential() -> None:
    gaps = np.diff(constant(10.0, 2_000.0).arrivals_s(np.random.default_rng(1)))
    assert gaps.mean() == pytest.approx(0.1, rel=0.03)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)


def test_a_day_peaks_in_the_afternoon() -> None:
    curve = daily(4.0, 7.0)
    assert curve.duration_s == DAY_S and curve.mean_hz == pytest.approx(4.0, rel=0.01)
    assert curve.rate_hz(15 * 3_600.0) == pytest.approx(7.0) == curve.peak_hz
    assert curve.rate_hz(3 * 3_600.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", "seconds,requests_per_second\n0,1\n60,5\n"), ("a.csv", "0,1\n60,5\n"), ("a.json", "[[0, 1], [60, 5]]")],
)
def test_curves_from_files(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert load_curve(path).rate_hz(30.0) == 3.0


@pytest.mark.parametrize("text", ["", "0,1\n", "5,1\n6,1\n", "0,1\n60,-1\n", "0,1\n60,one\n", "0,1,2\n1,2,3\n"])
def test_what_is_no_curve_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(SettingsError):
        load_curve(path)


@pytest.mark.parametrize("distribution", ["lognormal", "exponential", "fixed"])
def test_texts_have_their_median(distribution: str) -> None:
    work = Workload(median_chars=100.0, distribution=distribution)  # type: ignore[arg-type]
    asked = work.draw(20_000, np.random.default_rng(1))
    assert np.median(asked.num_chars) == pytest.approx(100.0, rel=0.05)


def test_a_text_is_cut_into_sentences_that_add_up() -> None:
    work = Workload()
    number, codes, rows = work.sentences(1_000, example())
    assert number == 12 and codes <= MAX_CODES and rows > 35
    assert number * codes / example().codes_per_s == pytest.approx(1_000 / work.chars_per_s, rel=0.02)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('"slots": 16', '"slots": 17'), "there are 17 slots"),
        (('"slots": 16', '"slots": "16"'), "slots"),
        (('"load_s": 20.0,', ""), "load_s: Field required"),
        (('"load_s"', '"loading_s"'), "Extra inputs"),
        (('"batch": 4', '"batch": 1'), "stands twice"),
        (('"vocoder_s_per_audio_s": 0.02,', ""), "either vocoder_s_per_audio_s"),
        (('"date": "2026-11-28"', '"date": "yesterday"'), "measured.date"),
        (('"seconds": 0.012', '"seconds": -1'), "greater than 0"),
        (('"batch": 4', '"cached": 9, "batch": 4'), "every batch at every cached length"),
    ],
)
def test_a_profile_that_is_wrong_says_where(change: tuple[str, str], reason: str, tmp_path: Path) -> None:
    text = CPU.read_text()
    assert change[0] in text
    path = tmp_path / "profile.json"
    path.write_text(text.replace(*change))
    with pytest.raises(SettingsError, match=reason):
        load_model(Profile, path, "a profile")


def test_assumptions_are_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "assume.json"
    path.write_text(
        '{"workload": {"median_chars": 50}, "failures": [{"at_s": 5, "share": 0.5}], "policy": "ray-default"}'
    )
    assumed = load_model(Assumptions, path, "assumptions")
    assert assumed.workload.median_chars == 50 and assumed.failures[0].share == 0.5
    path.write_text('{"workload": {"median_characters": 50}}')
    with pytest.raises(SettingsError, match="median_characters"):
        load_model(Assumptions, path, "assumptions")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_model(Assumptions, tmp_path / "none.json", "assumptions")
