"""Cleans text so that it can be read aloud, and reports what had to be left out.

Numbers, what stands beside them and abbreviations are read in `reading`, later.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from serve_app.errors import EmptyText
from serve_app.text.characters import BREAK, JOINT, replacement, sign_words, spelled
from serve_app.text.languages import find_language, primary_subtag

_MAX_NAMED = 10  # characters named in one warning
_EAST_ASIAN = r"\u3005-\u3007\u3040-\u30ff\u3400-\u9fff"

_LINE_END = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028]")
_HALF_WIDTH_KANA = re.compile(r"[\uff66-\uff9f]+")
_HEADING = re.compile(r"^ {0,3}#{1,6} +", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*([-=_*~#])(?:[ \t]*\1){2,}[ \t]*$", re.MULTILINE)
_BULLET = re.compile(r"(?:\n|\A)[ \t]*(?:[-*+•‣◦▪●·][ \t]+|(?=\d{1,3}[.)][ \t]))")
_PARAGRAPH = re.compile(r"\n(?:[ \t\u00a0\u3000]*\n)+|\u2029")

_JOINT_IN_WORDS = re.compile(rf"(?<=[^\W_{_EAST_ASIAN}]){JOINT}+(?=[^\W_{_EAST_ASIAN}])")

_ELONGATION = re.compile(r"(?<=[^\W\d_])~+(?![^\W_])")
_RANGE = re.compile(r"(?<=\d)\s?~\s?(?=\d)|(?<=[^\W_])~(?=[^\W_])")
_DASHES = re.compile(r"--+")
_SPACED_DASHES = re.compile(r"-(?:\s+-)+(?=\s)")
_DOTS = re.compile(r"\.(?:\s?\.){2,}|(?:。\s?){3,}")
_REPEATED = re.compile(r"([,，、;；:：،؛])(?:\s*[,，、;；:：،؛])+")
_SHOUTED = re.compile(r"([!?！？؟]{3})[!?！？؟]+")
_EMPTY_BRACKETS = re.compile(r"\(\s*\)")
_SPACE_BEFORE = re.compile(r"\s+(?=[,;:!?،؛؟।。、，！？；：)](?!\d)|\.+(?:\s|$))|(?<=\()\s+")
_SPACES = re.compile(r"\s+")
_ENDS_A_PARAGRAPH = frozenset(".!?।؟。！？,;:-،؛、，；：")


@dataclass(frozen=True)
class NormalizedText:
    """Text fit to be read: one line, single spaces, NFC. `warnings` are sentences for the caller."""

    text: str
    warnings: tuple[str, ...] = ()


def normalize(text: str, language: str) -> NormalizedText:
    """Clean `text` for the language (a checkpoint's code) without changing how it reads.

    Invisible characters go, odd spaces, quotes and dashes become plain, full-width letters and other looks of a
    letter become the letter, a paragraph's end becomes a sentence's end. What cannot be read (emoji, most symbols)
    becomes a space and is named in a warning. Raises `EmptyText` (field "text") when no letter or digit is left.
    """
    plain, unreadable = _replace_characters(_mark_paragraphs(text), language)
    spoken = _say_signs(plain, primary_subtag(language))
    joined = _JOINT_IN_WORDS.sub(" ", spoken).replace(JOINT, "")
    stretched = _RANGE.sub("-", _ELONGATION.sub("", joined))
    unreadable.update("~" * stretched.count("~"))
    tidy = _tidy(_end_paragraphs(stretched.replace("~", " "), language))
    if not any(char.isalnum() for char in tidy):
        raise EmptyText(
            "the text holds nothing that can be read aloud; send at least a letter or a digit", field="text"
        )
    return NormalizedText(tidy, _warnings(text, tidy, unreadable, language))


def _mark_paragraphs(text: str) -> str:
    """Line ends made one kind, and BREAK where a blank line, a list item, a heading or a rule ends a paragraph."""
    lines = _LINE_END.sub("\n", text.replace(JOINT, " ").replace(BREAK, " "))
    lines = _RULE.sub("\n", lines)
    lines = _HEADING.sub(BREAK, lines)
    lines = _PARAGRAPH.sub(BREAK + "\n", lines)
    return _BULLET.sub(BREAK, lines)


def _replace_characters(text: str, language: str) -> tuple[str, Counter[str]]:
    """Every character by its rule, and how often each one occurred that cannot be read."""
    composed = unicodedata.normalize("NFC", _HALF_WIDTH_KANA.sub(_full_width, text))
    counts = Counter(composed)
    replacements = {char: replacement(char, language) for char in counts}
    unreadable = Counter({char: counts[char] for char, new in replacements.items() if new is None})
    table = {ord(char): " " if new is None else new for char, new in replacements.items()}
    return unicodedata.normalize("NFC", composed.translate(table)), unreadable


def _full_width(kana: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", kana[0])  # as a run: a voicing mark is a character of its own in half width


def _say_signs(text: str, primary: str) -> str:
    """Signs that the language's cleaners would drop, as words."""
    for sign, word in sign_words(primary).items():
        text = text.replace(sign, f"{JOINT}{word}{JOINT}")
    return text


def _end_paragraphs(text: str, language: str) -> str:
    """A full stop where a paragraph ends without a mark, so that its last word is not run into the next paragraph."""
    full_stop = {"zh": "。", "ja": "。", "hi": "।"}.get(primary_subtag(language), ".")
    paragraphs = [part.strip() for part in text.split(BREAK)]
    paragraphs = [part for part in paragraphs if any(char.isalnum() for char in part)]
    for index, paragraph in enumerate(paragraphs[:-1]):
        last = paragraph.rstrip("\"') ")[-1:]
        if last not in _ENDS_A_PARAGRAPH:
            paragraphs[index] = paragraph + full_stop
    return " ".join(paragraphs)


def _tidy(text: str) -> str:
    """Runs of marks cut short, because the model stumbles over them, and single spaces."""
    text = _DASHES.sub(" - ", _SPACES.sub(" ", text))  # single spaces first: they keep these patterns linear
    text = _SPACED_DASHES.sub(" - ", _EMPTY_BRACKETS.sub(" ", text))
    text = _DOTS.sub("...", text)
    text = _SHOUTED.sub(r"\1", _REPEATED.sub(r"\1", _SPACES.sub(" ", text)))
    return _SPACES.sub(" ", _SPACE_BEFORE.sub("", text)).strip()


def _warnings(sent: str, text: str, unreadable: Counter[str], language: str) -> tuple[str, ...]:
    warnings = []
    if unreadable:
        named = ", ".join(f"{_shown(char)} ({count})" for char, count in unreadable.most_common(_MAX_NAMED))
        rest = len(unreadable) - _MAX_NAMED
        more = f" and {rest} more" if rest > 0 else ""
        warnings.append(f"left out, because it cannot be read aloud: {named}{more}")
    entry = find_language(language)
    if entry is None:
        return tuple(warnings)
    if respelled := [char for char in dict.fromkeys(sent) if _is_respelled(char, language)]:
        named = " ".join(respelled[:_MAX_NAMED])
        warnings.append(f"read as Latin letters, because {entry.english_name} does not use them: {named}")
    if foreign := _foreign_letters(text, language):
        named = " ".join(foreign[:_MAX_NAMED])
        warnings.append(f"letters that {entry.english_name} does not use may stay silent or be misread: {named}")
    return tuple(warnings)


def _is_respelled(char: str, language: str) -> bool:
    is_other_look = unicodedata.decomposition(char).startswith("<")
    return char.isalpha() and not is_other_look and spelled(char, language) != char


def _shown(char: str) -> str:
    return char if char.isprintable() else f"U+{ord(char):04X}"


def _foreign_letters(text: str, language: str) -> list[str]:
    entry = find_language(language)
    if entry is None:
        return []
    letters = [char for char in dict.fromkeys(text) if char.isalpha() and not char.isascii() and char not in "ªº"]
    scripts = {char: unicodedata.name(char, "").split(" ")[0].split("-")[0] for char in letters}
    return [char for char in letters if scripts[char] not in entry.scripts]
