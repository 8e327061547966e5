"""Starts, measured with the smallest model."""

import json
from pathlib import Path

import pytest

from serve_app.bench import start
from serve_app.settings import Settings


@pytest.mark.slow
def test_ready_comes_before_the_first_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "KINDS", {"serve --local": False})
    file, said = tmp_path / "start.json", list[str]()
    settings = Settings(model="synthetic:tiny", dtype="float32", voice_dir=tmp_path)
    start.run_start_bench(settings, 1, file, said.append)
    report = json.loads(file.read_text(encoding="utf-8"))
    row = report["starts"]["serve --local"]
    assert 0.0 < report["load_s"] < row["ready_s"] < row["first_audio_s"] < 120.0
    assert any(line.startswith("| serve --local |") for line in said)
