"""A text with pauses in it, `[pause:0.5]` in seconds, as parts to read one after the other, and the silence between.

Parts come as they are asked for: a long text is cut into blocks at ends of sentences, so that its first sentence need
not wait for its last.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from serve_app.errors import EmptyText, RequestError
from serve_app.text.languages import primary_subtag
from serve_app.text.normalize import normalize
from serve_app.text.parts import PAUSE_MARK, cut_parts
from serve_app.text.reading.addresses import say_addresses
from serve_app.text.reading.aloud import read_aloud
from serve_app.text.respelling import respell

MAX_PAUSE_S = 10.0
MAX_PAUSES_S = 600.0  # of one text
BLOCK_CHARS = 2_000


@dataclass(frozen=True)
class Part:
    """Text in words that is read in one go, and the silence before it. `warnings` are sentences for the caller.

    The text of a last part may be empty: its silence ends the text.
    """

    text: str
    pause_s: float
    warnings: tuple[str, ...] = ()


def read(text: str, language: str, pronunciations: Sequence[tuple[str, str]] = ()) -> Iterator[Part]:
    """Each part is respelled, normalised and its figures said in words (see `respell`, `normalize`, `read_aloud`); one
    with nothing to read is left out, the pauses around it are added.

    Raises, before the first part, `RequestError` for a pause over 10 s or more than 600 s together; `EmptyText` at the
    end where no part could be read.
    """
    pieces = PAUSE_MARK.split(text)
    marks = [_seconds(mark) for mark in pieces[1::2]]
    if sum(marks) > MAX_PAUSES_S:
        raise RequestError(f"the pauses of a text may be {MAX_PAUSES_S:.0f} s together; split the text", field="text")
    empty: EmptyText | None = None
    is_readable = False
    pause_s = 0.0
    for piece, mark_s in zip(pieces[::2], [*marks, 0.0], strict=True):
        for block in cut_parts(piece, language, BLOCK_CHARS):
            try:
                addressed = say_addresses(respell(block, pronunciations), primary_subtag(language))
                normalized = normalize(addressed, language)
            except EmptyText as error:
                empty = error
                continue
            yield Part(read_aloud(normalized.text, language), pause_s, normalized.warnings)
            is_readable, pause_s = True, 0.0
        pause_s += mark_s
    if not is_readable:
        raise empty or EmptyText("the text is empty; send at least a letter or a digit", field="text")
    if pause_s:
        yield Part("", pause_s)


def _seconds(mark: str) -> float:
    pause_s = float(mark)
    if pause_s > MAX_PAUSE_S:
        raise RequestError(f"a pause may be {MAX_PAUSE_S:.0f} s at most, and one is {mark} s", field="text")
    return pause_s
