from pathlib import Path

import pytest

from serve_app.errors import RequestError
from serve_app.training.datasets import read_dataset


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_ljspeech_takes_the_last_column_and_finds_the_suffix(tmp_path: Path) -> None:
    _touch(tmp_path / "wavs" / "a.wav")
    _touch(tmp_path / "wavs" / "b.flac")
    (tmp_path / "metadata.csv").write_text("a|Dr. Who|Doctor Who\nb|Hello there\n\nc|\n", encoding="utf-8")
    found = read_dataset(tmp_path)
    assert [(each.path.name, each.text) for each in found] == [("a.wav", "Doctor Who"), ("b.flac", "Hello there")]


def test_common_voice_reads_its_table(tmp_path: Path) -> None:
    _touch(tmp_path / "clips" / "x.mp3")
    table = 'client_id\tpath\tsentence\tage\n1\tx.mp3\tShe said "no".\t\n2\t\tlost\t\n'
    (tmp_path / "train.tsv").write_text(table, encoding="utf-8")
    found = read_dataset(tmp_path)
    assert [(each.path.name, each.text) for each in found] == [("x.mp3", 'She said "no".')]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "neither metadata.csv"),
        ({"metadata.csv": "\n"}, "names no recording"),
        ({"metadata.csv": "gone|text\n"}, "1 recordings are missing .* gone.wav"),
        ({"train.tsv": "path\ttext\n"}, "no columns named path and sentence"),
    ],
)
def test_other_folders_are_refused(tmp_path: Path, files: dict[str, str], problem: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(RequestError, match=problem):
        read_dataset(tmp_path)
