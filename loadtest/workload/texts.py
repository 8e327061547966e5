"""Texts as people send them: short turns of a chat, sentences, paragraphs, in the languages of XTTS v2."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from random import Random

CORPUS_FILE = Path(__file__).parent / "texts.json"
ENGLISH = "en"
PARAGRAPH_SENTENCES = (3, 6)  # fewest and most
NO_SPACES = ("zh-cn", "ja")  # between sentences


class Length(StrEnum):
    """How long a text is."""

    TURN = "turn"  # of a chat: a few words
    SENTENCE = "sentence"
    PARAGRAPH = "paragraph"  # sentences that follow one another


@dataclass(frozen=True)
class Text:
    text: str
    language: str
    length: Length


@dataclass(frozen=True)
class Corpus:
    """What is there in one language. The sentences of `story` follow one another."""

    turns: Sequence[str]
    story: Sequence[str]


@cache
def corpora() -> Mapping[str, Corpus]:
    """By language code."""
    said = json.loads(CORPUS_FILE.read_text(encoding="utf-8"))
    return {language: Corpus(tuple(each["turns"]), tuple(each["story"])) for language, each in said.items()}


class TextMix:
    """Draws texts in `languages`, those that the served model speaks; `english_share` of them in English.

    Raises `ValueError` where there is no text in any of the languages, or no length has a weight.
    """

    def __init__(self, languages: Collection[str], lengths: Mapping[Length, float], english_share: float = 0.5) -> None:
        spoken = [language for language in corpora() if language in languages]
        if not spoken:
            raise ValueError(f"there is no text in any of these languages: {', '.join(sorted(languages))}")
        if sum(lengths.values()) <= 0.0:
            raise ValueError("no length of text has a weight")
        self.languages = tuple(spoken)
        self._lengths = dict(lengths)
        self._others = [language for language in spoken if language != ENGLISH]
        self._english_share = english_share if ENGLISH in spoken else 0.0

    def draw(self, rng: Random, num_chars: int | None = None) -> Text:
        """A text of a length that is drawn, or of about `num_chars` characters."""
        language = self._language(rng)
        if num_chars is not None:
            return _about(language, num_chars, rng)
        (length,) = rng.choices(list(self._lengths), list(self._lengths.values()))
        corpus = corpora()[language]
        match length:
            case Length.TURN:
                return Text(rng.choice(corpus.turns), language, length)
            case Length.SENTENCE:
                return Text(rng.choice(corpus.story), language, length)
            case Length.PARAGRAPH:
                num = min(rng.randint(*PARAGRAPH_SENTENCES), len(corpus.story))
                start = rng.randrange(len(corpus.story) - num + 1)
                return Text(_joined(corpus.story[start : start + num], language), language, length)

    def _language(self, rng: Random) -> str:
        is_english = rng.random() < self._english_share
        return ENGLISH if is_english or not self._others else rng.choice(self._others)


def _about(language: str, num_chars: int, rng: Random) -> Text:
    """Whole turns or sentences only: the shortest text that reaches `num_chars`, or the turn that comes nearest."""
    corpus = corpora()[language]
    if num_chars < min(map(len, corpus.story)):
        nearest = min(abs(len(turn) - num_chars) for turn in corpus.turns)
        turns = [turn for turn in corpus.turns if abs(len(turn) - num_chars) == nearest]
        return Text(rng.choice(turns), language, Length.TURN)
    place, sentences, num_found = rng.randrange(len(corpus.story)), list[str](), 0
    while num_found < num_chars:
        sentences.append(corpus.story[(place + len(sentences)) % len(corpus.story)])
        num_found += len(sentences[-1]) + 1
    length = Length.SENTENCE if len(sentences) == 1 else Length.PARAGRAPH
    return Text(_joined(sentences, language), language, length)


def _joined(sentences: Sequence[str], language: str) -> str:
    return ("" if language in NO_SPACES else " ").join(sentences)
