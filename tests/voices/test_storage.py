"""Files in a directory: whole or absent, and trouble is logged, never raised."""

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serve_app.voices.storage import MAX_FILE_BYTES, Directory, VoiceFileError

NUM_BYTES = 140_000


def test_file_written_is_read(tmp_path: Path) -> None:
    Directory(tmp_path / "new" / "voices").write("a", b"one")
    assert Directory(tmp_path / "new" / "voices").read("a") == b"one"


def test_file_absent_is_none_and_nothing_to_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Directory(tmp_path).read("a") is None
    assert Directory(tmp_path / "new").read("a") is None
    assert caplog.text == ""


def test_file_written_again_is_replaced_and_leaves_no_other(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    directory.write("a", b"one")
    directory.write("a", b"another")
    assert directory.read("a") == b"another"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_file_that_cannot_be_written_is_logged_and_leaves_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a").mkdir()
    with caplog.at_level(logging.WARNING):
        Directory(tmp_path).write("a", b"one")
    assert "cannot be written" in caplog.text
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_file_that_cannot_be_read_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a").mkdir()
    with caplog.at_level(logging.WARNING):
        assert Directory(tmp_path).read("a") is None
    assert "cannot be read" in caplog.text


def test_file_too_large_for_a_voice_is_refused(tmp_path: Path) -> None:
    for name, num_bytes in (("largest", MAX_FILE_BYTES), ("larger", MAX_FILE_BYTES + 1)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(num_bytes)  # takes no room on the disk
    assert len(Directory(tmp_path).read("largest") or b"") == MAX_FILE_BYTES
    with pytest.raises(VoiceFileError, match=str(MAX_FILE_BYTES + 1)):
        Directory(tmp_path).read("larger")


def test_directory_of_a_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    directory = Directory(Path("~/voices"))
    directory.write("a", b"one")
    assert (tmp_path / "voices" / "a").read_bytes() == b"one"
    assert str(directory) == f"the directory {tmp_path / 'voices'}"


WRITER = f"""
import sys
from pathlib import Path
from serve_app.voices.storage import Directory, VoiceFileError
for _ in range(60):
    Directory(Path(sys.argv[1])).write("shared", b"1" * {NUM_BYTES})
"""


def test_file_written_by_two_processes_is_always_whole(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    num_checked = 0
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)]) as writer:
        while writer.poll() is None:
            if not (tmp_path / "shared").exists():  # the other process is still starting
                time.sleep(0.01)
                continue
            directory.write("shared", b"2" * NUM_BYTES)
            data = directory.read("shared")
            assert data in (b"1" * NUM_BYTES, b"2" * NUM_BYTES)
            num_checked += 1
    assert writer.returncode == 0
    assert num_checked > 3
    assert [file.name for file in tmp_path.iterdir()] == ["shared"]
