"""A cleaned text with all its figures, signs and abbreviations said in words. Linear in the length of the text."""

import re

from serve_app.text.characters import JOINT
from serve_app.text.languages import primary_subtag
from serve_app.text.reading.abbreviations import say_abbreviations
from serve_app.text.reading.amounts import say_amounts
from serve_app.text.reading.dates import say_dates
from serve_app.text.reading.figures import (
    LETTER,
    join_groups,
    say_decades,
    say_fractions,
    say_ordinals,
    say_ranges,
    say_rest,
)
from serve_app.text.reading.tables import words_of
from serve_app.text.reading.telephone import say_telephones
from serve_app.text.reading.times import say_times
from serve_app.text.reading.words import Words

_LETTER = r"[^\W_\u3005-\u3007\u3040-\u30ff\u3400-\u9fff]"
_MARK = r"[\u064b-\u0670\u0900-\u0963]"  # written over a letter, and no letter to `re`
_HANGUL = r"[\u1100-\u11ff\u3131-\u318e\uac00-\ud7af]"
_JOINT_IN_HANGUL = re.compile(rf"(?<={_HANGUL}){JOINT}+(?={_HANGUL})")
_JOINT = re.compile(rf"(?:(?<={_LETTER})|(?<={_MARK})){JOINT}+(?={_LETTER})")
_DEGREES_BY_ORDINAL = re.compile(r"(?<=\d)( ?)º(?=[CF](?!\w))")
_ORDINAL_BY_DEGREES = re.compile(rf"(?<=\d)°(?= {LETTER}{{3}})")  # "il 3° posto"
_SENTENCE_START = re.compile(rf"(\A|[.!?…][\"')]{{0,3}} [\"'(]{{0,3}}){JOINT}([^\W\d_])")  # a capital marks it
_ARABIC_PREFIX = re.compile(rf"(?<![\w\u064b-\u0670])([وفبلك]){JOINT}")  # "و200"
# Chinese is spelled in Latin letters for the model; without a space a name would run into them.
_LATIN_BESIDE_HAN = re.compile(
    "(?<=[A-Za-z\u00c0-\u024f])(?=[\u3400-\u9fff])|(?<=[\u3400-\u9fff])(?=[A-Za-z\u00c0-\u024f])"
)
_SPACES = re.compile(r"  +")
_SPACE_BEFORE_MARK = re.compile(r" +(?=[.,;:!?。、，！？।؟،](?:\s|$))")
_STAGES = (
    say_dates,
    say_telephones,
    lambda text, _, words: join_groups(text, words),
    say_ranges,
    say_times,
    say_decades,
    say_fractions,
    say_amounts,
    say_ordinals,
    say_rest,
)


def read_aloud(text: str, language: str) -> str:
    """`text` is one that `normalize` gave. Of a language without a table it stays as it is."""
    primary = primary_subtag(language)
    words = words_of(primary)
    if words is None:
        return text
    said = say_abbreviations(text, primary, words)
    if any(char.isdecimal() for char in said):
        said = _DEGREES_BY_ORDINAL.sub(r"\1°", said)
        said = _ORDINAL_BY_DEGREES.sub("º", said) if primary in ("es", "it", "pt") else said
        for stage in _STAGES:
            said = stage(said, primary, words)
    said = _say_signs(said, words)
    said = _SENTENCE_START.sub(lambda match: match[1] + match[2].upper(), said)
    said = _ARABIC_PREFIX.sub(r"\1", said) if primary == "ar" else said
    said = _JOINT.sub(" ", _JOINT_IN_HANGUL.sub("", said)).replace(JOINT, "")
    if primary == "zh":
        said = _LATIN_BESIDE_HAN.sub(" ", said)
    return _SPACE_BEFORE_MARK.sub("", _SPACES.sub(" ", said)).strip()


def _say_signs(text: str, words: Words) -> str:
    """Signs without a number, or beside words."""
    names = {
        **{sign: whole.forms[-1] for sign, (whole, _) in words.currencies.items() if len(sign) == 1},
        **words.signs,
    }
    for sign, name in names.items():
        if sign in text:
            text = text.replace(sign, f"{JOINT}{name}{JOINT}")
    return text
