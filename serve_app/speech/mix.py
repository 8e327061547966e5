"""Names of voices with weights: "anna(2)+ben(1)". Imports no torch."""

import re

from serve_app.errors import RequestError

MAX_PARTS = 5
MAX_WEIGHT_CHARS = 12
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")

Parts = tuple[tuple[str, float], ...]


def parse_voice(text: str, *, field: str = "voice") -> Parts:
    """Names and weights, 1 where none is given. Raises RequestError for more than five names, and for wrong weights."""
    pieces = text.split("+")
    if len(pieces) > MAX_PARTS:
        raise RequestError(f"At most {MAX_PARTS} voices are mixed; leave some out.", field=field)
    if len(pieces) == 1 and not text.endswith(")"):
        return ((text, 1.0),)
    return tuple(_part(piece.strip(), field) for piece in pieces)


def _part(piece: str, field: str) -> tuple[str, float]:
    name, bracket, weight = piece.removesuffix(")").rpartition("(") if piece.endswith(")") else (piece, "", "")
    if not name.strip():
        raise RequestError("A voice of the mix has no name; write anna(2)+ben(1).", field=field)
    if not bracket:
        return name.strip(), 1.0
    number = float(weight) if len(weight) <= MAX_WEIGHT_CHARS and _NUMBER.fullmatch(weight) else 0.0
    if number <= 0.0:
        raise RequestError(f"{weight[:40]!r} is no weight above 0; write anna(2)+ben(1).", field=field)
    return name.strip(), number
