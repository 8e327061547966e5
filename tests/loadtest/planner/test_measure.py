"""A profile is measured, and a plan made of it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from loadtest.__main__ import app
from loadtest.planner.assumptions import load_model
from loadtest.planner.profile import Profile, audio_s_per_s


@pytest.mark.slow
def test_profile_is_measured_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DTYPE": "float32", "MAX_SLOTS": "4", "NUM_THREADS": "1"}.items():
        monkeypatch.setenv(f"XTTS_{name}", value)
    file = tmp_path / "tiny.json"
    found = CliRunner().invoke(app, ["profile", str(file), "--model", "synthetic:tiny"])
    assert found.exit_code == 0, found.output
    profile = load_model(Profile, file, "a profile")
    assert profile.slots == 4 and {each.batch for each in profile.decode_steps} == {1, 2, 4}
    alone, together = (min(each.seconds for each in profile.decode_steps if each.batch == batch) for batch in (1, 4))
    assert together < 4.0 * alone  # that is what batches are for
    assert 0.0 < profile.voice_s < 5.0 < profile.load_s + 5.0
    assert audio_s_per_s(profile) > 1.0
