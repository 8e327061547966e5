"""Files of texts: three kinds, their mistakes, and no more of them in memory than a line."""

import tracemalloc
from pathlib import Path

import pytest

from serve_app.batch import texts as texts_module
from serve_app.batch.texts import BadLine, BatchText, check_file, read_book, read_texts
from serve_app.errors import RequestError


def written(directory: Path, name: str, content: str | bytes) -> Path:
    path = directory / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_text_file_is_a_text_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", "\ufeffFirst.\r\n\n  Third. \nFourth")
    assert list(read_texts(path)) == [
        BatchText(1, "000001", "First."),
        BatchText(3, "000003", "Third."),
        BatchText(4, "000004", "Fourth"),
    ]


def test_csv_has_named_columns_and_texts_of_several_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", 'id,text,voice,speed\nintro,"One,\ntwo.",anna,1.5\n,Three.,,\n')
    assert list(read_texts(path)) == [
        BatchText(3, "intro", "One,\ntwo.", "anna", None, 1.5),
        BatchText(4, "000004", "Three."),
    ]


def test_jsonl_has_the_same_fields(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", '{"text": "One.", "id": 7, "language": "de"}\n\n{"text": "Two."}\n')
    assert list(read_texts(path)) == [BatchText(1, "7", "One.", None, "de"), BatchText(3, "000003", "Two.")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "no JSON object"),
        ("[1]", "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ("{}", "no `text`"),
        ('{"text": " "}', "no `text`"),
        ('{"text": "a", "id": "../b"}', "no name of a file"),
        ('{"text": "a", "id": ".b"}', "no name of a file"),
        ('{"text": "a", "speed": 3}', "0.5 to 2"),
        ('{"text": "a", "speed": "fast"}', "0.5 to 2"),
        ('{"text": "a", "voice": 1}', "are texts"),
        ('{"text": "a", "id": "ONE"}', "an earlier line"),
    ],
)
def test_bad_line_is_told_and_the_next_one_read(tmp_path: Path, line: str, reason: str) -> None:
    path = written(tmp_path, "a.jsonl", f'{{"text": "One.", "id": "one"}}\n{line}\n{{"text": "Three."}}\n')
    first, bad, third = read_texts(path)
    assert isinstance(first, BatchText) and isinstance(third, BatchText)
    assert isinstance(bad, BadLine) and bad.line == 2 and reason in bad.reason


def test_line_without_end_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts_module, "MAX_TEXT_CHARS", 1_000)
    path = written(tmp_path, "a.txt", "x" * 1_000 + "\n" + "y" * 1_001 + "\n" + "z" * 50_000_000 + "\nlast")
    tracemalloc.start()
    found = list(read_texts(path))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [type(each) for each in found] == [BatchText, BadLine, BadLine, BatchText] and peak_bytes < 1_000_000


@pytest.mark.parametrize("name", ["no.txt", "a.docx", "folder.txt"])
def test_file_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.docx").touch()
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(RequestError):
        check_file(tmp_path / name)


def test_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", b"na\xefve")
    for read in (lambda: list(read_texts(path)), lambda: read_book(path)):
        with pytest.raises(RequestError, match="UTF-8"):
            read()


def test_csv_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="column `text`"):
        list(read_texts(written(tmp_path, "a.csv", "name,words\na,b\n")))
