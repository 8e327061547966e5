"""What HTTP costs, measured with the smallest model."""

import json
from pathlib import Path

import pytest

from serve_app.bench.service import ServiceBenchOptions, run_service_bench
from serve_app.settings import Settings


@pytest.mark.long
def test_sides_do_the_same_work_and_are_reported(tmp_path: Path) -> None:
    file, said = tmp_path / "service.json", list[str]()
    settings = Settings(model="synthetic:tiny", dtype="float32", voice_dir=tmp_path)
    options = ServiceBenchOptions(levels=(1, 2), sides=("local",), num_rounds=1, num_probes=2)
    run_service_bench(settings, options, file, said.append)
    report = json.loads(file.read_text(encoding="utf-8"))
    rows = report["rows"]
    assert [(row["mode"], row["concurrency"]) for row in rows] == [
        ("stream", 1),
        ("whole", 1),
        ("stream", 2),
        ("whole", 2),
    ]
    assert all(row["is_same_work"] for row in rows)
    # 44 and 25 tokens at two and a half codes each: the codes of `workload.TEXTS` by the synthetic models' vocabulary.
    assert {row[side]["num_samples"] for row in rows for side in ("alone", "local")} == {
        rows[0]["alone"]["num_samples"]
    }
    assert rows[0]["alone"]["num_samples"] / 24_000 == pytest.approx((110 + 62) * 1024 / 22_050, rel=0.01)
    for row in rows:
        assert row["alone"]["ratio"] == 1.0
        speeds = row["local"]["audio_s_per_s"], row["alone"]["audio_s_per_s"]
        assert row["local"]["ratio"] == pytest.approx(speeds[0] / speeds[1])
        assert row["local"]["cpu_s_per_audio_s"].keys() == {"engine", "client"}
    assert report["ttfa"]["local"]["added_ms"] == pytest.approx(
        report["ttfa"]["local"]["ttfa_ms"] - report["ttfa"]["alone"]["ttfa_ms"], abs=1_000.0
    )
    assert all(10**8 < size < 4 * 10**9 for size in report["engine_pss_bytes"].values())
    assert sum(line.startswith("| whole |") for line in said) == 4
    assert not any("did not make the same number" in line for line in said)
