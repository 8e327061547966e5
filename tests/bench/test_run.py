"""`python -m serve_app bench`, as a user runs it, with the smallest model."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CODES = 12


def bench(*arguments: str, command: str = "bench") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "serve_app", command, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The JSON and the terminal's text of one run."""
    file = tmp_path_factory.mktemp("bench") / "bench.json"
    size = ["--concurrency", "1,3", "--rounds", "1", "--codes", str(CODES), "--coqui-requests", "0"]
    run = bench("--model", "synthetic:tiny", "--formats", "float32", *size, "--json", str(file))
    assert run.returncode == 0, run.stderr
    return json.loads(file.read_text(encoding="utf-8")), run.stdout


@pytest.mark.slow
def test_json_has_a_row_for_each_level(measured: tuple[dict[str, Any], str]) -> None:
    report, _ = measured
    assert [row["concurrency"] for row in report["rows"]] == [1, 3]
    for row in report["rows"]:
        for side in ("ours", "coqui"):
            assert {"audio_s_per_s", "codes_per_s", "ttfa_ms", "peak_memory_bytes"} <= row[side].keys()
            assert all(value > 0 for value in row[side].values())
        assert row["ratio"] == pytest.approx(row["ours"]["audio_s_per_s"] / row["coqui"]["audio_s_per_s"])
        assert row["ours"]["gpt_s"] + row["ours"]["vocoder_s"] <= row["ours"]["wall_s"]
    assert report["model"] == "synthetic:tiny" and report["machine"]["cores"] > 0


@pytest.mark.slow
def test_both_sides_make_the_same_codes_and_samples(measured: tuple[dict[str, Any], str]) -> None:
    for row, expected_codes in zip(measured[0]["rows"], (12, 12 + 7 + 17), strict=True):
        ours, coqui = row["ours"], row["coqui"]
        for side in (ours, coqui):
            assert side["codes_per_s"] * side["wall_s"] == pytest.approx(expected_codes)
        num_samples = [side["audio_s_per_s"] * side["wall_s"] * 24_000 for side in (ours, coqui)]
        assert num_samples[0] == pytest.approx(num_samples[1])


@pytest.mark.slow
def test_table_on_the_terminal_has_a_row_for_each_level(measured: tuple[dict[str, Any], str]) -> None:
    report, said = measured
    table = [line for line in said.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(report["rows"])
    assert len({line.count("|") for line in table}) == 1
    assert f"{report['rows'][1]['ratio']:.1f}×" in table[-1]


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        ("bench", ("--concurrency", "0,4"), "'0,4' is no list of numbers above 0"),
        ("bench", ("--concurrency", "four"), "'four' is no list of numbers above 0"),
        ("bench", ("--formats", "int8,int3"), "'int3' is none of auto, float32, bfloat16, float16, int8"),
        ("bench", ("--rounds", "0"), "should be greater than or equal to 1"),
        ("bench-service", ("--sides", "local,k8s"), "'k8s' is none of local, ray"),
        ("bench-service", ("--device", "tpu"), "device: Input should be 'auto', 'cpu' or 'cuda'"),
    ],
)
def test_wrong_option_is_named(command: str, arguments: tuple[str, ...], said: str) -> None:
    run = bench(*arguments, command=command)
    assert run.returncode != 0
    assert said in " ".join(run.stderr.replace("│", " ").split())
    assert "Traceback" not in run.stderr


@pytest.mark.slow
def test_model_that_cannot_be_loaded_is_said_in_one_line(tmp_path: Path) -> None:
    run = bench("--model", str(tmp_path / "nowhere"))
    assert run.returncode == 1
    assert "invalid_checkpoint" in run.stderr and "nowhere" in run.stderr
    assert "Traceback" not in run.stderr
