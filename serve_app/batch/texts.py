"""The texts of a file, one after the other, however many there are: .txt, .csv or .jsonl. Speaks none of them."""

import csv
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from serve_app.errors import RequestError

MAX_TEXT_CHARS = 2_000_000  # of one text
MAX_BOOK_CHARS = 20_000_000
KINDS = (".txt", ".csv", ".jsonl")

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_FIELDS = ("text", "id", "voice", "language", "speed")


@dataclass(frozen=True)
class BatchText:
    """One text; `name` is its file's, without the ending. What is None is the command's."""

    line: int
    name: str
    text: str
    voice: str | None = None
    language: str | None = None
    speed: float | None = None


@dataclass(frozen=True)
class BadLine:
    """A line that is no text, and why."""

    line: int
    reason: str


def check_file(path: Path) -> None:
    """Raises RequestError for what no batch can be made of."""
    if not path.is_file():
        raise RequestError(f"there is no file {str(path)!r}: give one of {', '.join(KINDS)}", field="file")
    if path.suffix.lower() not in KINDS:
        raise RequestError(f"{path.name!r} is none of {', '.join(KINDS)}: rename or convert it", field="file")


def read_texts(path: Path) -> Iterator[BatchText | BadLine]:
    """In the file's order; empty lines are left out. Two texts of one name are one and a bad line.

    Raises RequestError where the file is not UTF-8, or a CSV without a column `text`.
    """
    names: set[bytes] = set()
    readers = {".txt": _lines, ".csv": _rows, ".jsonl": _objects}
    with _opened(path) as file:
        try:
            for each in readers[path.suffix.lower()](file):
                if isinstance(each, BatchText):
                    key = hashlib.blake2b(each.name.lower().encode(), digest_size=8).digest()
                    if key in names:
                        each = BadLine(each.line, f"an earlier line has the id {each.name!r} too")
                    names.add(key)
                yield each
        except UnicodeDecodeError:
            raise RequestError(f"{path.name!r} is not UTF-8: convert it", field="file") from None


def read_book(path: Path) -> str:
    """The whole file as one text. Raises RequestError."""
    with _opened(path) as file:
        try:
            text = file.read(MAX_BOOK_CHARS + 1)
        except UnicodeDecodeError:
            raise RequestError(f"{path.name!r} is not UTF-8: convert it", field="file") from None
    if len(text) > MAX_BOOK_CHARS:
        raise RequestError(f"a book has {MAX_BOOK_CHARS} characters at most: split the file", field="file")
    if not text.strip():
        raise RequestError(f"{path.name!r} is empty", field="file")
    return text


def _opened(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8-sig", newline="" if path.suffix.lower() == ".csv" else None)
    except OSError as error:
        raise RequestError(f"cannot read {str(path)!r}: {error.strerror}", field="file") from error


def _lines(file: TextIO) -> Iterator[BatchText | BadLine]:
    for number, line in _bounded(file):
        if line is None:
            yield BadLine(number, f"it is longer than {MAX_TEXT_CHARS} characters")
        elif line.strip():
            yield BatchText(number, f"{number:06}", line.strip())


def _objects(file: TextIO) -> Iterator[BatchText | BadLine]:
    for number, line in _bounded(file):
        if line is None:
            yield BadLine(number, f"it is longer than {MAX_TEXT_CHARS} characters")
            continue
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        yield _text(number, found) if isinstance(found, dict) else BadLine(number, "it is no JSON object")


def _rows(file: TextIO) -> Iterator[BatchText | BadLine]:
    csv.field_size_limit(MAX_TEXT_CHARS)
    rows = csv.DictReader(file)
    if "text" not in (rows.fieldnames or ()):
        raise RequestError("the CSV has no column `text`: its first line names the columns", field="file")
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield BadLine(rows.line_num, str(error))
            continue
        if row is None:
            return
        yield _text(rows.line_num, {name: value for name, value in row.items() if value not in ("", None)})


def _bounded(file: TextIO) -> Iterator[tuple[int, str | None]]:
    """Lines by number; None for one that is too long to be held."""
    number = 0
    while line := file.readline(MAX_TEXT_CHARS + 1):
        number += 1
        is_whole = line.endswith("\n") or len(line) <= MAX_TEXT_CHARS
        while not line.endswith("\n") and (more := file.readline(MAX_TEXT_CHARS)):
            is_whole, line = False, more
        yield number, line if is_whole else None


def _text(line: int, found: dict[Any, Any]) -> BatchText | BadLine:
    text, name, voice, language, speed = (found.get(field) for field in _FIELDS)
    if not isinstance(text, str) or not text.strip():
        return BadLine(line, "it has no `text`")
    name = f"{line:06}" if name is None else str(name)
    if not _ID.fullmatch(name):
        return BadLine(line, "its `id` is no name of a file: use letters, digits, dots, - and _, and no dot first")
    if not all(each is None or isinstance(each, str) for each in (voice, language)):
        return BadLine(line, "`voice` and `language` are texts")
    try:
        speed = None if speed is None else float(speed)
    except (TypeError, ValueError):
        speed = 0.0
    if speed is not None and not 0.5 <= speed <= 2.0:
        return BadLine(line, "`speed` is a number from 0.5 to 2")
    return BatchText(line, name, text, voice, language, speed)
