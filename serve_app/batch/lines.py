"""The texts of a file: .txt, .csv or .jsonl, one at a time, so that a file may be of any length."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve_app.errors import RequestError

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Line:
    """One text of the file, and the name of its audio."""

    id: str
    text: str
    voice: str
    language: str
    speed: float


@dataclass(frozen=True)
class BatchOptions:
    """What a file does not say of its texts."""

    output: Path
    audio_format: str
    voice: str
    language: str
    speed: float
    seed: int
    num_parallel: int


def read_lines(path: Path, options: BatchOptions) -> Iterator[Line]:
    """The texts of a .txt, .csv or .jsonl file, one at a time. Raises `RequestError` that names the line."""
    readers = {".txt": _of_text, ".csv": _of_csv, ".jsonl": _of_jsonl}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise RequestError(f"{path}: the file is no .txt, .csv or .jsonl; convert it", field="file")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, found in reader(file):
                yield _line(found, number, f"{path}, line {number}", options)
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}", field="file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{path} cannot be read: {error}; save it as UTF-8", field="file") from None


def _of_text(file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    return ((number, {"text": line.strip()}) for number, line in enumerate(file, 1) if line.strip())


def _of_csv(file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = csv.DictReader(file)
    return ((rows.line_num, {key: value for key, value in row.items() if value}) for row in rows)


def _of_jsonl(file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError:
                yield number, {}


def _line(found: Any, number: int, where: str, options: BatchOptions) -> Line:
    text = found.get("text") if isinstance(found, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise RequestError(f"{where}: there is no `text`; give one, or drop the line", field="file")
    line_id = str(found.get("id", f"{number:05}"))
    if not _ID.fullmatch(line_id):
        raise RequestError(f"{where}: {line_id[:40]!r} cannot be a file's name: letters, digits, . _ -", field="file")
    try:
        speed = float(found.get("speed", options.speed))
    except (TypeError, ValueError):
        speed = 0.0
    if not 0.5 <= speed <= 2.0:
        raise RequestError(f"{where}: the speed is no number from 0.5 to 2.0", field="file")
    voice, language = str(found.get("voice", options.voice)), str(found.get("language", options.language))
    return Line(line_id, text, voice, language, speed)
