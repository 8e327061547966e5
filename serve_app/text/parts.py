"""A long text as parts that are spoken one by one: runs of whole sentences. Knows no limits of a model."""

from serve_app.text.boundaries import sentence_ends
from serve_app.text.pauses import MARK

MAX_CHARS = 1_000
SHORT_CHARS = 80  # a last part shorter than this goes along with the one before it: models ramble on tiny texts


def cut_parts(text: str, language: str, max_chars: int = MAX_CHARS) -> list[str]:
    """The parts in order; joined they are the text again.

    Each has at most `max_chars` characters, the last one up to `SHORT_CHARS` more. A sentence longer than that is cut
    at a space, or anywhere in a script without them, but never inside a mark for a pause.
    """
    parts: list[str] = []
    start = previous = 0
    for end in (*sentence_ends(text, language), len(text)):
        if end - start > max_chars and previous > start:
            parts.append(text[start:previous])
            start = previous
        while end - start > max_chars:
            cut = _cut(text, start, start + max_chars)
            parts.append(text[start:cut])
            start = cut
        previous = end
    if start < len(text):
        parts.append(text[start:])
    if len(parts) > 1 and len(parts[-1]) < SHORT_CHARS:
        last = parts.pop()
        parts[-1] += last
    return parts


def _cut(text: str, start: int, limit: int) -> int:
    space = text.rfind(" ", start + 1, limit)
    cut = space + 1 if space > start else limit
    for mark in MARK.finditer(text, start, limit + 40):
        if mark.start() < cut < mark.end():
            return mark.start() if mark.start() > start else mark.end()
    return cut
