"""Abbreviations in a text → the words they stand for, the end of a sentence kept where one stands at it."""

import re
from functools import lru_cache

from serve_app.text.characters import JOINT
from serve_app.text.reading.words import Words

# Words in their own right, or the end of a sentence, unless a number follows.
_BEFORE_NUMBERS = frozenset(("No.", "n.", "S.", "č.", "str.", "стр.", "ص.", "m."))
_SENTENCE_ENDS = ".!?…"
# May be a sentence's last word, whatever follows.
_MAY_END = frozenset(
    [
        "etc.",
        "usw.",
        "ecc.",
        "stb.",
        "atd.",
        "apod.",
        "itd.",
        "itp.",
        "enz.",
        "Inc.",
        "Ltd.",
        "Corp.",
        "Jr.",
        "Sr.",
        "vb.",
        "т.д.",
        "т.п.",
        "إلخ.",
        "Ltda.",
        "n.e.",
        "p.n.e.",
        "o.ä.",
    ]
)


_ENGLISH_TITLES = ("Sr.", "Jr.")  # elsewhere "señor" and "senhor", which a name follows
_SPELLED = re.compile(r" [a-z] $")


def say_abbreviations(text: str, language: str, words: Words) -> str:
    if not words.abbreviations:
        return text
    table = words.abbreviations

    def say(match: re.Match[str]) -> str:
        written = _key(match[0], table)
        rest = text[match.end() : match.end() + 3].lstrip("\"') ")
        if written == "u." and _SPELLED.search(text, max(0, match.start() - 3), match.start()):
            return match[0]  # Hungarian "utca" is not the end of "pont h u."
        if written in _BEFORE_NUMBERS and not rest[:1].isdigit():
            return match[0]
        said = table[written]
        if language == "en" and written == "St." and not rest[:1].isupper():
            said = "Street"
        is_first = not text[: match.start()][-2:].rstrip("\"'( ").strip(_SENTENCE_ENDS)
        if match[0][0].isupper() and (is_first or written[0].islower()):
            said = said[:1].upper() + said[1:]
        may_end = written in _MAY_END and not (language != "en" and written in _ENGLISH_TITLES)
        ends = written.endswith(".") and (not rest or (may_end and rest[:1].isupper()))
        return said + ("." if ends else "") + (JOINT if rest and rest[0] == text[match.end()] else "")

    return _pattern(tuple(table)).sub(say, text)


def _key(found: str, table: dict[str, str]) -> str:
    for candidate in (found, found.replace(" ", ""), found[:1].lower() + found[1:]):
        if candidate in table:
            return candidate
    lower = found[:1].lower() + found[1:].replace(" ", "")
    return lower if lower in table else next(key for key in table if key.replace(" ", "") == found.replace(" ", ""))


@lru_cache(maxsize=32)
def _pattern(keys: tuple[str, ...]) -> re.Pattern[str]:
    written = [_written(key) for key in sorted(keys, key=len, reverse=True)]
    return re.compile(rf"(?<![\w.])(?:{'|'.join(written)})")


def _written(key: str) -> str:
    pattern = re.sub(r"\\\.(?=[^\W\d_])", r"\\. ?", re.escape(key))
    if key[0].islower() and key not in _BEFORE_NUMBERS:
        pattern = f"[{key[0]}{key[0].upper()}]" + pattern[1:]
    return pattern if key.endswith(".") else pattern + r"(?![\w.])"
