"""Lines for a log collector."""

import io
import json
import logging
import sys

import pytest

from serve_app.logs import JsonFormatter, configure


def _line(record: logging.LogRecord) -> dict[str, object]:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line: dict[str, object] = json.loads(text)
    return line


def test_a_message_is_a_field() -> None:
    record = logging.LogRecord("a.b", logging.WARNING, "x.py", 1, "%s\nis here", ("Käse",), None)
    line = _line(record)
    assert (line["level"], line["logger"], line["message"]) == ("warning", "a.b", "Käse\nis here")
    assert str(line["time"]).endswith("Z") and len(str(line["time"])) == len("2026-11-25T17:00:00.123Z")


def test_facts_are_fields_beside_each_other() -> None:
    record = logging.LogRecord("a", logging.INFO, "x.py", 1, "request_id=1 seconds=0.5", (), None)
    record.facts = {"request_id": "1", "seconds": 0.5}
    assert _line(record).items() >= {"request_id": "1", "seconds": 0.5}.items()


def test_an_exception_is_in_its_line() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "x.py", 1, "it broke", (), sys.exc_info())
    assert "ValueError: no" in str(_line(record)["exception"])


def test_every_logger_writes_in_the_format(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        configure("json")
        logging.getLogger("serve_app.anything").info("one")
        configure("text", text_format="%(message)s")
        logging.getLogger("serve_app.anything").info("two")
        logging.getLogger("uvicorn.error").info('"WebSocket /v1/audio/stream?what=a client put there" [accepted]')
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    first, second = stream.getvalue().splitlines()
    assert json.loads(first)["message"] == "one" and second == "two"
