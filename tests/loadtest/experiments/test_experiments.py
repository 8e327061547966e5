"""Variants, their table, and one experiment for real."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from loadtest.__main__ import app
from loadtest.compare.listening import Listened
from loadtest.experiments import questions
from loadtest.experiments.questions import EXPERIMENTS, LENGTHS
from loadtest.experiments.report import lines, speech_rate, to_json
from loadtest.experiments.run import Result
from loadtest.experiments.variant import Variant
from loadtest.quality import Quality
from serve_app.settings import Settings

SPOKEN = Listened(0.2, 1.0, np.zeros(48_000, np.float32), 24_000)
TOLD = """complete, status 422: b'{"error":{"code":"x","message":"the recording holds 1.8 s; send a longer'"""
REFUSED = replace(SPOKEN, samples=np.zeros(0, np.float32), why=TOLD)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_variants_differ_in_name_and_in_nothing_that_is_unknown(name: str) -> None:
    variants = EXPERIMENTS[name].variants()
    assert len(variants) > 1 and len({each.name for each in variants}) == len(variants)
    assert {setting for each in variants for setting in each.settings} <= set(Settings.model_fields)


def test_texts_have_the_length_that_they_are_named_for() -> None:
    for length, variant in zip(LENGTHS, EXPERIMENTS["text-length"].variants(), strict=True):
        assert 0.7 * length <= len(variant.text) <= length and variant.text.endswith(".")


def test_device_says_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with_gpu = questions.device()
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert {each.settings["device"] for each in with_gpu} == {"cpu", "cuda"}
    assert {each.settings["device"] for each in questions.device()} == {"cpu"}


def test_table_has_medians_and_what_was_refused() -> None:
    slow = replace(SPOKEN, first_audio_s=0.4, total_s=3.0)
    results = [
        Result(Variant("good", is_cold=True), cold=slow, spoken=[SPOKEN, SPOKEN, slow], walls_s=[1.0, 1.0, 4.0]),
        Result(Variant("short", is_cold=True), cold=REFUSED, spoken=[REFUSED], walls_s=[0.1]),
    ]
    head, _, good, short = lines(results, [Quality(0.125, 3.0, 0.8), None])
    assert good == "| good | 200 ms | 1000 ms | 2.00 s | 0.50 | 2.00 s | 400 ms | 12.5% | 3.00 | 0.80 |"
    assert short.startswith("| short | refused: the recording holds 1.8 s |  |") and short.count("|") == head.count("|")
    assert [each["judged"] for each in to_json(results, None)] == [None, None]


def test_rate_is_of_those_that_went_together() -> None:
    crowd = Result(Variant("crowd", num_at_once=2), spoken=[SPOKEN] * 4, walls_s=[2.0, 2.0])
    assert speech_rate(crowd) == pytest.approx(2.0)


def test_unknown_experiment_is_refused() -> None:
    found = CliRunner().invoke(app, ["experiment", "alchemy"])
    assert found.exit_code == 2 and "text-length" in found.output


@pytest.mark.slow
def test_speed_changes_the_length_of_speech_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XTTS_DTYPE", "float32")
    file = tmp_path / "found.json"
    options = ["speed", "--model", "synthetic:tiny", "--repeats", "2", "--json", str(file)]
    found = CliRunner().invoke(app, ["experiment", *options])
    assert found.exit_code == 0, found.output
    told = json.loads(file.read_text(encoding="utf-8"))
    seconds = {each["name"]: each["spoken"][0]["audio_s"] for each in told["results"]}
    assert seconds["speed 0.5"] == pytest.approx(2.0 * seconds["speed 1"], rel=0.05)
    assert seconds["speed 1.5"] == pytest.approx(seconds["speed 1"] / 1.5, rel=0.05)
