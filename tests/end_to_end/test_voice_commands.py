"""`voices add`, `list` and `remove`, and `say` in what they made."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.end_to_end.serving import run_command
from tests.voices.recordings import BECKETT, CHIME, CLONE_TEST, recording_path


def run(directory: Path, *arguments: str) -> tuple[int, str, str]:
    done = run_command(directory, *arguments, XTTS_VOICE_DIR=str(directory / "voices"))
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_voice_is_added_listed_mixed_and_removed(tmp_path: Path) -> None:
    recordings = [str(recording_path(name)) for name in (BECKETT, CLONE_TEST)]
    status, output, log = run(tmp_path, "voices", "add", "Anna", *recordings, "--consent")
    assert status == 0, log
    assert "speak with it by --voice anna" in output
    assert run(tmp_path, "voices", "list")[1].startswith("anna: Anna, ")
    arguments = ("say", "Hello there.", "--voice", "anna(2)+default", "--emotion", "sad", "-o", "a.wav", "--seed", "3")
    status, output, log = run(tmp_path, *arguments)
    assert status == 0, log
    assert "preset" in log
    assert np.abs(soundfile.read(tmp_path / "a.wav")[0]).max() > 0.0
    assert run(tmp_path, "voices", "remove", "anna")[:2] == (0, "anna is gone\n")
    assert run(tmp_path, "voices", "list")[1] == ""
    assert list((tmp_path / "voices" / "latents").iterdir()) == []


@pytest.mark.slow
def test_voice_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    chime = str(recording_path(CHIME))
    for arguments, message in (
        (("add", "Anna", chime), "consent_missing: give --consent"),
        (("add", "Anna", "missing.wav", "--consent"), "invalid_request: cannot read 'missing.wav'"),
        (("add", "Anna", *[chime] * 6, "--consent"), "invalid_request: at most 5 recordings"),
        (("add", "Anna", chime, "--consent", "--id", "../x"), "invalid_request: '../x' is no id"),
        (("add", "Default", chime, "--consent"), "voice_exists: the model has a voice 'default'"),
        (("add", "Anna", chime, "--consent"), "reference_too_short: the recordings hold"),
        (("remove", "anna"), "voice_not_found: There is no voice 'anna'"),
    ):
        status, _, log = run(tmp_path, "voices", *arguments)
        assert status == 1
        assert log.strip().splitlines()[-1].startswith(message), log
