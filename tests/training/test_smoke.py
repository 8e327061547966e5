"""Every stage on a handful of sentences, run as a user runs them: a model that loads and speaks, badly."""

import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from serve_app.model.checkpoint import Checkpoint, load_directory
from serve_app.training.recordings import voice_folders

ROOT = Path(__file__).parents[2]
STAGES = ("data", "codes", "gpt", "speaker", "patch-vocoder", "vocoder", "export")


def _run(*arguments: str) -> str:
    command = [sys.executable, "-m", "serve_app", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert result.returncode == 0, result.stdout[-2_000:] + result.stderr[-2_000:]
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def first_run(folder: Path) -> str:
    return _run("train", "all", "--recipe", "smoke", "--folder", str(folder))


@pytest.fixture(scope="module")
def exported(first_run: str, folder: Path) -> Path:
    assert first_run
    return folder / "export"


def _load(directory: Path, folder: Path) -> Checkpoint:
    return load_directory(directory, cache_dir=folder / "cache", progress=lambda _: None)


@pytest.mark.long
def test_every_stage_runs_and_draws_its_losses(first_run: str, folder: Path) -> None:
    assert [line.removeprefix("== ") for line in first_run.splitlines() if line.startswith("== ")] == list(STAGES)
    for stage in ("gpt", "speaker", "patch-vocoder", "vocoder"):
        assert (folder / f"{stage}.png").read_bytes().startswith(b"\x89PNG")
    assert {voice.name for voice in voice_folders(folder / "recordings")} == {"joe", "joe-00"}


@pytest.mark.long
def test_a_second_run_finds_everything_done(exported: Path, folder: Path) -> None:
    before = _load(exported, folder).fingerprint
    again = _run("train", "all", "--recipe", "smoke", "--folder", str(folder))
    assert "step" not in again and "sentences" not in again
    assert _load(exported, folder).fingerprint == before


@pytest.mark.long
def test_a_stage_goes_on_where_it_stopped(exported: Path, folder: Path) -> None:
    assert exported.is_dir()
    output = _run("train", "gpt", "--recipe", "smoke", "--folder", str(folder), "--steps", "6")
    assert [line.split()[1] for line in output.splitlines() if line.startswith("step")] == ["6"]


@pytest.mark.long
def test_listening_tells_where_words_are_lost(exported: Path, folder: Path) -> None:
    assert exported.is_dir()
    lines = _run("train", "listen", "--recipe", "smoke", "--folder", str(folder), "--sentences", "1").splitlines()
    rates = [float(line.removeprefix("joe: ").partition("%")[0]) for line in lines if line.startswith("joe: ")]
    assert len(rates) == 3
    assert rates[0] < 50.0 < rates[2]  # the teacher is understood, the two-step model is not


@pytest.mark.long
def test_the_result_is_a_checkpoint_that_speaks(exported: Path, folder: Path, tmp_path: Path) -> None:
    checkpoint = _load(exported, folder)
    assert checkpoint.config.languages == ("en",)
    assert list(checkpoint.speakers) == ["joe"]
    assert "CC0" in checkpoint.voice_infos["joe"].licence
    wav = tmp_path / "said.wav"
    _run("say", "Hello there.", "--model", str(exported), "-o", str(wav), "--seed", "1")
    assert soundfile.info(wav).duration > 0.1
