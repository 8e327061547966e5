"""Sentences out of a text that comes piece by piece, each as soon as its end is certain. Knows no time and no model.

Policy, as `text.sentences` has it: a sentence is cut off where it ends, and a very short one joins the next. An end is
certain once what follows it is there: "Dr." and "3." end none, '."' may still close a quote. The first sentence leaves
at once; a later one when enough follows it to stand alone, since speech of the former covers the wait, so that a short
last one joins it. Text without an end is cut where a reader would breathe.
"""

import re
from collections.abc import Iterator
from heapq import merge

from serve_app.text.boundaries import clause_ends, grapheme_ends, sentence_ends, word_ends
from serve_app.text.languages import expected_codes, letter_codes
from serve_app.text.sentences import SHORT_CODES

MAX_HELD_CODES = 260.0  # of letters and digits without an end among them: with spaces and commas about 17 s of speech
_LEAST_CHAR_CODES = 0.2  # so that marks without end are cut too

# What may stand between a sentence's end and the character that makes it certain.
_UNDECIDED = " \t\r\n\f\v\u00a0\u3000\"'([{¿¡«“‘「『)]}»”’」』】》）"
# Written as a list or in paragraphs, sentences end without marks: a blank line, a list item, a heading.
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n\s*|\n\s*(?=(?:[-*+•]|\d{1,3}[.)])[ \t]+\S|#{1,6} )")
_MARK_IN_BRACKETS = re.compile(r"\[[^\[\]]{0,24}$")  # "[pause:0.5" stays whole


class IncrementalSentences:
    """The sentences of one text. However it is cut into pieces, without `settle` and `flush` between they are the same.

    Joined, all that is given out is the text, but for spaces at its cuts.
    """

    def __init__(self, language: str) -> None:
        self._language = language
        self._held = ""
        self._is_first = True

    @property
    def has_text(self) -> bool:
        """Whether anything but space is held back."""
        return bool(self._held.strip())

    def push(self, text: str) -> list[str]:
        """The sentences that are certain now, in order."""
        self._held += text
        sentences = []
        while (cut := self._next_cut()) is not None:
            sentences += self._take(cut)
        return sentences

    def settle(self) -> list[str]:
        """What may be complete, for when no text has come for a while: a sentence that has begun is held back."""
        if self._is_complete():
            return self.flush()
        sentences = []
        while (cut := self._sentence_cut(self._held, needs_rest=False)) is not None:
            sentences += self._take(cut)
        self._is_first = True
        return sentences

    def flush(self) -> list[str]:
        """All that is held back."""
        sentences = []
        while (cut := self._sentence_cut(self._held, needs_rest=False)) is not None:
            if self._is_short(self._held[cut:]):
                break
            sentences += self._take(cut)
        sentences += self._take(len(self._held))
        self._is_first = True
        return sentences

    def _take(self, cut: int) -> list[str]:
        piece, self._held = self._held[:cut].strip(), self._held[cut:]
        self._is_first = False
        return [piece] if piece else []

    def _next_cut(self) -> int | None:
        """Where the first sentence of what is held ends, once no text to come can move its end."""
        overlong = self._reach(self._held, 0, MAX_HELD_CODES)
        view_end = None if overlong is None else self._reach(self._held, overlong, SHORT_CODES)
        cut = self._sentence_cut(self._held[:view_end], needs_rest=not self._is_first)
        if cut is None and view_end is not None:
            return _breathing_place(self._held[:overlong])
        return cut

    def _sentence_cut(self, text: str, *, needs_rest: bool) -> int | None:
        """The end of the first sentence long enough to stand alone, if something to say follows it.

        With `needs_rest` that must be enough to stand alone itself.
        """
        num_certain = len(text.rstrip(_UNDECIDED))
        cut: int | None = None
        for end in _ends(text, self._language):
            if end >= num_certain:
                break
            if cut is not None and _has_speech(text[cut:end]):
                break  # else marks with nothing to say stay with the sentence before them
            if cut is not None or _has_speech(text[:end]):
                cut = None if self._is_short(text[:end]) else end
        if cut is None or not _has_speech(text[cut:]):
            return None
        return cut if not needs_rest or self._reach(text, cut, SHORT_CODES) is not None else None

    def _is_complete(self) -> bool:
        """Whether the text would end a sentence if another began behind it."""
        ended = self._held.rstrip()
        return any(end > len(ended) for end in sentence_ends(f"{ended} A.", self._language))

    def _is_short(self, text: str) -> bool:
        return expected_codes(text.strip(), self._language) < SHORT_CODES

    def _reach(self, text: str, start: int, codes: float) -> int | None:
        """The position after the character with which letters and digits from `start` on take so many codes."""
        reached = 0.0
        for position in range(start, len(text)):
            char = text[position]
            own = letter_codes(char, self._language) if char.isalnum() else 0.0
            reached += max(own, _LEAST_CHAR_CODES)
            if reached >= codes:
                return position + 1
        return None


def _ends(text: str, language: str) -> Iterator[int]:
    """Ends of sentences and paragraphs, ascending, each once; found as they are asked for."""
    last = 0
    paragraphs = (match.end() for match in _PARAGRAPH_END.finditer(text))
    for end in merge(sentence_ends(text, language), paragraphs):
        if end > last:
            yield end
            last = end


def _has_speech(text: str) -> bool:
    return any(char.isalnum() for char in text)


def _breathing_place(text: str) -> int:
    """The best place to cut in the second half of a text without a sentence's end."""
    for ends in (clause_ends, word_ends, grapheme_ends):
        fit = [end for end in ends(text) if end >= len(text) // 2 and not _MARK_IN_BRACKETS.search(text[:end])]
        if fit:
            return fit[-1]
    return len(text)
