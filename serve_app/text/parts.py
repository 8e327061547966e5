"""A long text as parts that are spoken one by one: runs of whole sentences. Knows no limits of a model."""

import re
from collections.abc import Iterator
from itertools import chain

from serve_app.text.boundaries import sentence_ends

SHORT_CHARS = 80  # a last part shorter than this goes along with the one before it: models ramble on tiny texts
PAUSE_MARK = re.compile(r"\[ ?pause ?: ?(\d{1,9}(?:\.\d{1,9})?) ?s? ?\]", re.IGNORECASE)


def cut_parts(text: str, language: str, max_chars: int) -> Iterator[str]:
    """The parts in order, each as soon as the two after it are known; joined they are the text again.

    Each has at most `max_chars` characters, the last one up to `SHORT_CHARS` more. A sentence longer than that is cut
    at a space, or anywhere in a script without them, but never inside a mark for a pause.
    """
    before = last = ""
    for part in _parts(text, language, max_chars):
        if before:
            yield before
        before, last = last, part
    if len(last) < SHORT_CHARS:
        before, last = before + last, ""
    yield from (part for part in (before, last) if part)


def _parts(text: str, language: str, max_chars: int) -> Iterator[str]:
    start = previous = 0
    for end in chain(sentence_ends(text, language), (len(text),)):
        if end - start > max_chars and previous > start:
            yield text[start:previous]
            start = previous
        while end - start > max_chars:
            cut = _cut(text, start, start + max_chars)
            yield text[start:cut]
            start = cut
        previous = end
    if start < len(text):
        yield text[start:]


def _cut(text: str, start: int, limit: int) -> int:
    space = text.rfind(" ", start + 1, limit)
    cut = space + 1 if space > start else limit
    for mark in PAUSE_MARK.finditer(text, start, limit + 40):
        if mark.start() < cut < mark.end():
            return mark.start() if mark.start() > start else mark.end()
    return cut
