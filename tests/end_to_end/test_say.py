"""`python -m serve_app say`: a newcomer's first command, and what it says when it cannot."""

import io
from pathlib import Path

import pytest
import soundfile

from tests.end_to_end.asking import TEXTS, num_codes, num_samples, pcm_of_wav, reference_wav
from tests.end_to_end.serving import run_command
from tests.voices.recordings import CHIME, recording


def say(directory: Path, *arguments: str, **settings: str) -> tuple[int, str, list[str]]:
    """Exit status, stdout, and the lines of stderr."""
    done = run_command(directory, "say", *arguments, **settings)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr.splitlines()


def test_say_writes_a_playable_wav_in_the_voice_of_a_recording(tmp_path: Path) -> None:
    (tmp_path / "me.wav").write_bytes(reference_wav("third"))
    arguments = (TEXTS["ko"], "--language", "ko", "--voice", "me.wav", "-o", "hello.wav", "--seed", "5")
    status, output, log = say(tmp_path, *arguments)
    assert status == 0, log
    pcm = pcm_of_wav((tmp_path / "hello.wav").read_bytes())
    assert len(pcm) == num_samples(num_codes(TEXTS["ko"], "ko"))
    assert output.startswith("hello.wav: ") and "seed 5" in output
    assert any("only 4.7 s of speech" in line for line in log)
    assert any("random weights" in line for line in log)


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (["--voice", "missing.wav"], {}, "voice_not_found: there is no file 'missing.wav'"),
        (["--output", "missing/hello.wav"], {}, "invalid_request: there is no directory 'missing'"),
        (["--output", "hello.mp5"], {}, "invalid_request: the format 'mp5' is not known; choose one of: mp3, opus,"),
        ([], {"XTTS_MODEL": "nonsense"}, "invalid_checkpoint: there is no model 'nonsense'"),
        ([], {"XTTS_MODEL": "xtts_v2"}, "licence_not_accepted: xtts_v2 is published under"),
        ([], {"XTTS_DTYPE": "float64"}, "invalid_settings: settings are wrong: dtype"),
    ],
)
def test_say_that_cannot_start_is_one_line_and_status_1(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], message: str
) -> None:
    status, output, log = say(tmp_path, "Hello", *arguments, **settings)
    assert (status, output) == (1, "")
    assert len(log) == 1 and log[0].startswith(message)


def test_mistake_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    status, _, log = say(tmp_path, "Hello", "--voice", "missing.wav", PYTHONPROFILEIMPORTTIME="1")
    modules = {line.rpartition("|")[2].strip() for line in log if line.startswith("import time:")}
    assert status == 1
    assert "serve_app.say" in modules and not {"torch", "TTS"} & modules


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--language", "tlh"], "unsupported_language: language 'tlh' is not spoken by this model"),
        (["--voice", "chime.wav"], "reference_too_short: the recording holds 0.0 s of speech"),
    ],
)
def test_say_that_the_model_refuses_is_one_line_and_status_1(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "chime.wav").write_bytes(_chime())
    status, output, log = say(tmp_path, "Hello", *arguments)
    assert (status, output) == (1, "")
    assert log[-1].startswith(message) and not list(tmp_path.glob("speech.wav"))


def _chime() -> bytes:
    chime, file = recording(CHIME), io.BytesIO()
    soundfile.write(file, chime.samples, chime.sample_rate_hz, format="WAV")
    return file.getvalue()
