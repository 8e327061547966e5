"""A text with pauses in it, `[pause:0.5]` in seconds, as the parts to read and the silence around them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from serve_app.errors import EmptyText, RequestError
from serve_app.text.normalize import normalize
from serve_app.text.respelling import respell

MAX_PAUSE_S = 10.0
MAX_PAUSES_S = 600.0  # of one text

_MARK = re.compile(r"\[ ?pause ?: ?(\d{1,9}(?:\.\d{1,9})?) ?s? ?\]", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """Normalised text that is read in one go, and the silence before it."""

    text: str
    pause_s: float


@dataclass(frozen=True)
class ReadableText:
    """What a text comes to. `warnings` are sentences for the caller."""

    parts: tuple[Part, ...]
    last_pause_s: float
    warnings: tuple[str, ...]


def read(text: str, language: str, pronunciations: Sequence[tuple[str, str]] = ()) -> ReadableText:
    """Each part is respelled and normalised (see `respell`, `normalize`); one with nothing to read is left out, the
    pauses around it are added.

    Raises `EmptyText` where no part can be read, `RequestError` for a pause over 10 s, or of more than 600 s together.
    """
    pieces = _MARK.split(text)
    marks = [_seconds(mark) for mark in pieces[1::2]]
    if sum(marks) > MAX_PAUSES_S:
        raise RequestError(f"the pauses of a text may be {MAX_PAUSES_S:.0f} s together; split the text", field="text")
    parts: list[Part] = []
    warnings: list[str] = []
    pause_s = 0.0
    for piece, mark_s in zip_longest(pieces[::2], marks, fillvalue=0.0):
        assert isinstance(piece, str) and isinstance(mark_s, float)
        try:
            normalized = normalize(respell(piece, pronunciations), language)
        except EmptyText:
            if len(pieces) == 1:
                raise
        else:
            parts.append(Part(normalized.text, pause_s))
            warnings.extend(warning for warning in normalized.warnings if warning not in warnings)
            pause_s = 0.0
        pause_s += mark_s
    if not parts:
        raise EmptyText("the text holds pauses and nothing to read; send at least a letter or a digit", field="text")
    return ReadableText(tuple(parts), pause_s, tuple(warnings))


def _seconds(mark: str) -> float:
    pause_s = float(mark)
    if pause_s > MAX_PAUSE_S:
        raise RequestError(f"a pause may be {MAX_PAUSE_S:.0f} s at most, and one is {mark} s", field="text")
    return pause_s
