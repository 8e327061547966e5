"""`python -m serve_app batch`: against a running service, and with a model of its own."""

import json
from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner

from serve_app.api.keys import new_key
from serve_app.batch import speakers
from serve_app.cli import app
from serve_app.errors import Overloaded, ServiceError
from serve_app.settings import Settings
from tests.api.conftest import Server, running, server, settings
from tests.voices.recordings import recording_path

__all__ = ["server", "settings"]  # fixtures


def batch(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["batch", *map(str, arguments)])
    if isinstance(result.exception, ServiceError):
        return 1, f"{result.exception.code}: {result.exception.message}"
    return result.exit_code, result.output


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("Hello there.\nHow are you?\n", encoding="utf-8")
    return path


def test_batch_is_spoken_by_a_running_service(server: Server, lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, output = batch(lines, "--out", out, "--format", "wav", "--url", server.url, "--voice", "anna", "--seed", 4)
    assert status == 0 and "2 spoken" in output, output
    assert soundfile.info(out / "000001.wav").frames == len("Hello there.") * 1_200
    assert {request.turns[0].voice.name for request in server.backend.requests} == {"anna"}
    status, output = batch(lines, "--out", out, "--format", "wav", "--url", server.url)
    assert (status, len(server.backend.requests)) == (0, 2) and "2 were there" in output


def test_batch_with_a_recording_clones_it(lines: Path, tmp_path: Path) -> None:
    with running(Settings()) as server:
        status, output = batch(lines, "--out", tmp_path / "out", "--url", server.url, "--voice", recording_path())
        assert status == 0, output
        assert all(request.turns[0].voice.reference is not None for request in server.backend.requests)


def test_book_is_one_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_text("Call me a book. " * 12, encoding="utf-8")
    status, output = batch(tmp_path / "novel.txt", "--book", "--out", tmp_path, "--format", "wav", "--url", server.url)
    assert status == 0, output
    assert soundfile.info(tmp_path / "novel.wav").frames == 12 * 16 * 1_200
    assert (tmp_path / "novel.srt").read_text().startswith("1\n00:00:00,000 --> 00:00:09,600\nCall me a book.")


def test_speech_that_fails_midway_is_no_file(server: Server, lines: Path, tmp_path: Path) -> None:
    server.backend.configure(fails_after_chunks=2)
    assert batch(lines, "--out", tmp_path / "out", "--url", server.url)[0] == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["errors.jsonl"]
    assert "synthesis_failed" in (tmp_path / "out" / "errors.jsonl").read_text()


def test_failed_texts_are_listed_and_the_status_is_1(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "A."}\n{"text": "B.", "voice": "nobody", "id": "b"}\n', encoding="utf-8"
    )
    status, output = batch(tmp_path / "a.jsonl", "--out", tmp_path, "--url", server.url)
    assert status == 1 and "1 spoken" in output and "1 failed" in output
    (error,) = [json.loads(line) for line in (tmp_path / "errors.jsonl").read_text().splitlines()]
    assert (error["line"], error["id"], error["code"]) == (2, "b", "voice_not_found")


def test_busy_service_is_asked_again(
    server: Server, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speakers, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(speakers, "LONGEST_DELAY_S", 0.01)
    server.backend.configure(error=Overloaded("Full.", retry_after_s=1.0))
    status, _ = batch(lines, "--out", tmp_path, "--url", server.url)
    assert status == 1 and len(server.backend.requests) == 2 * speakers.MAX_TRIES
    assert "overloaded" in (tmp_path / "errors.jsonl").read_text()


def test_service_that_wants_a_key_gets_it_from_the_environment(
    lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, line = new_key("team-a")
    (tmp_path / "keys").write_text(line, encoding="utf-8")
    with running(Settings(api_keys_file=tmp_path / "keys")) as server:
        arguments = (lines, "--out", tmp_path / "out", "--url", server.url)
        assert batch(*arguments)[1].startswith("invalid_api_key")
        assert batch(*arguments, "--api-key-env", "MY_KEY")[1].startswith("invalid_request: the variable MY_KEY")
        monkeypatch.setenv("MY_KEY", key)
        assert batch(*arguments, "--api-key-env", "MY_KEY")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.txt", "--out", "."], "there is no file 'missing.txt'"),
        (["lines.txt", "--out", ".", "--format", "mp5"], "the format 'mp5' is not known"),
        (["lines.txt", "--out", "lines.txt"], "cannot make the directory"),
        (["lines.txt", "--out", ".", "--url", "ftp://host"], "is no address"),
        (["lines.txt", "--out", ".", "--url", "http://127.0.0.1:9"], "does not answer"),
        (["lines.txt", "--out", ".", "--voice", "me.wav"], "there is no file 'me.wav'"),
        (["lines.txt", "--out", ".", "--model", "nonsense"], "there is no model 'nonsense'"),
    ],
)
def test_batch_that_cannot_start_says_why(
    arguments: list[str], message: str, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lines.parent)
    monkeypatch.setattr(speakers, "FIRST_DELAY_S", 0.01)
    status, output = batch(*arguments)
    assert status == 1 and message in output


@pytest.mark.slow
def test_batch_speaks_with_a_model_of_its_own(lines: Path, tmp_path: Path) -> None:
    status, output = batch(lines, "--out", tmp_path / "out", "--model", "mini")
    assert status == 0 and "2 spoken" in output, output
    for name in ("000001.mp3", "000002.mp3"):
        assert soundfile.info(tmp_path / "out" / name).duration > 0.5
