"""Splits a normalised text into the sentences that become sequences. Knows no tokenizer: counting is an argument.

Policy. A sentence is cut off where it ends, and spoken as it is when it fits both limits. One that does not is halved,
and its halves again, at the best place near the middle: a clause's end, else a phrase's, else a word's, and inside a
word only when the word alone is too long. A very short sentence ("Yes.") joins the one after it, or the last one the
one before, where that fits: the model rambles on tiny texts. Longer ones stay apart, so that they run side by side.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from serve_app.text.boundaries import clause_ends, grapheme_ends, phrase_ends, sentence_ends, word_ends

SHORT_CODES = 40.0  # under this many expected codes, about 1.9 s, a sentence is joined to a neighbour
WHOLE_GRAPHEME_CHARS = 16  # a longer one, of marks without end, is cut; Hindi writes ones of six
_MIDDLE = (0.2, 0.8)  # a clause or phrase end counts as near the middle inside this part of a sentence


@dataclass(frozen=True)
class _Limits:
    count_tokens: Callable[[str], int]
    expected_codes: Callable[[str], float]
    max_tokens: int
    max_codes: float

    def hold(self, text: str) -> bool:
        """Whether one sequence may speak it. The cheap limit is asked first: a token count costs more."""
        return self.expected_codes(text) <= self.max_codes and self.count_tokens(text) <= self.max_tokens


def split_sentences(
    text: str,
    language: str,
    *,
    count_tokens: Callable[[str], int],
    expected_codes: Callable[[str], float],
    max_tokens: int = 400,
    max_codes: float = 450,
) -> list[str]:
    """The pieces of a normalised text, in order; joined they are the text again, but for spaces at the cuts.

    Each has at most `max_tokens` text tokens and `max_codes` expected codes, unless a single character exceeds them.
    Near-linear: a few counts for each piece, and for a sentence too long one more for each time it is halved.
    """
    limits = _Limits(count_tokens, expected_codes, max_tokens, max_codes)
    pieces = [piece for sentence in _sentences(text, language) for piece in _fitting(sentence, language, limits)]
    return _join_short(pieces, text, limits)


def split_in_half(sentence: str, language: str) -> tuple[str, str] | None:
    """Two parts of a sentence that ran into the model's end, cut at the best place near its middle.

    None when no cut leaves a letter or digit on both sides.
    """
    sentence = sentence.strip()
    cut = _best_cut(sentence, language, needs_speech=True)
    return None if cut is None else (sentence[:cut].strip(), sentence[cut:].strip())


def _sentences(text: str, language: str) -> Iterator[str]:
    """Sentences in order; marks with nothing to say stay with the sentence before them."""
    start = previous = 0
    has_speech = False
    for end in (*sentence_ends(text, language), len(text)):
        is_speech_here = any(char.isalnum() for char in text[previous:end])
        if has_speech and is_speech_here:
            yield text[start:previous].strip()
            start = previous
        has_speech = has_speech or is_speech_here
        previous = end
    if rest := text[start:].strip():
        yield rest


def _fitting(sentence: str, language: str, limits: _Limits) -> Iterator[str]:
    """The sentence, or the parts of it that hold to the limits."""
    waiting = [sentence]
    while waiting:
        part = waiting.pop()
        if limits.hold(part):
            yield part
            continue
        cut = _best_cut(part, language, needs_speech=False)
        if cut is None and len(part) <= WHOLE_GRAPHEME_CHARS:
            yield part
            continue
        cut = cut or len(part) // 2  # one grapheme, of marks without end
        waiting += [half for half in (part[cut:].strip(), part[:cut].strip()) if half]


def _spoken_range(text: str) -> range:
    """Positions with a letter or digit on both sides."""
    spoken = [index for index, char in enumerate(text) if char.isalnum()]
    return range(spoken[0] + 1, spoken[-1] + 1) if spoken else range(0)


def _best_cut(text: str, language: str, *, needs_speech: bool) -> int | None:
    """The cut to halve at. With `needs_speech` never one that leaves a side without a letter or digit."""
    spoken = _spoken_range(text)
    low, high = (int(len(text) * part) for part in _MIDDLE)
    middle = range(max(spoken.start, low), min(spoken.stop, high + 1))
    anywhere = spoken if needs_speech else range(1, len(text))
    for positions, within in (
        (clause_ends, middle),
        (lambda part: phrase_ends(part, language), middle),
        (word_ends, spoken),
        (word_ends, anywhere),
        (grapheme_ends, spoken),
        (grapheme_ends, anywhere),
    ):
        cut = _nearest([position for position in positions(text) if position in within], len(text) // 2)
        if cut is not None:
            return cut
    return None


def _nearest(positions: list[int], target: int) -> int | None:
    """The one of the ascending positions that lies nearest to the target; the earlier of two alike."""
    if not positions:
        return None
    index = bisect_left(positions, target)
    return min(positions[max(index - 1, 0) : index + 1], key=lambda position: abs(position - target))


def _join_short(pieces: list[str], text: str, limits: _Limits) -> list[str]:
    """Very short pieces joined to the next one, the last to the one before, with the text's own space between them."""
    spans = _locate(pieces, text)
    joined: list[tuple[int, int]] = []
    for index, (start, end) in enumerate(spans):
        is_last = index == len(spans) - 1
        if joined and (_is_short(text, joined[-1], limits) or (is_last and _is_short(text, (start, end), limits))):
            candidate = text[joined[-1][0] : end]
            if limits.hold(candidate):
                joined[-1] = (joined[-1][0], end)
                continue
        joined.append((start, end))
    return [text[start:end] for start, end in joined]


def _is_short(text: str, span: tuple[int, int], limits: _Limits) -> bool:
    return limits.expected_codes(text[span[0] : span[1]]) < SHORT_CODES


def _locate(pieces: list[str], text: str) -> list[tuple[int, int]]:
    spans = []
    position = 0
    for piece in pieces:
        start = text.index(piece, position)
        position = start + len(piece)
        spans.append((start, position))
    return spans
