"""Dates in a text → words: "2024-10-03", "3.10.2024", "3 October 2024", "в 2024 году"."""

import re
from collections.abc import Callable
from functools import lru_cache

from serve_app.text.reading import japanese
from serve_app.text.reading.counters import say_counted
from serve_app.text.reading.figures import LETTER, UNSPACED, spoken
from serve_app.text.reading.numerals import day, digits, ordinal, year
from serve_app.text.reading.slavic import polish_genitive, russian_ordinal
from serve_app.text.reading.words import Words

_ISO = re.compile(r"(?<![0-9A-Za-z_.,/-])(\d{4})([-./])(\d{1,2})\2 ?(\d{1,2})(?!\d|[-/.,]\d)(?:\.(?= [a-záéíóöőúüű]))?")
_SPACED_ISO = ("hu", "ko")
_ISO_WITH_SPACES = re.compile(
    r"(?<![0-9A-Za-z_.,/-])(\d{4})\. (\d{1,2})\. (\d{1,2})(?!\d|[-/,]\d)(?:\.(?= [a-záéíóöőúüű]))?"
)
_NUMERIC = re.compile(r"(?<![0-9A-Za-z_.,/-])(\d{1,2})([-./]) ?(\d{1,2})\2 ?(\d{4})(?!\d|[-/.,]\d)")
_SHORT = re.compile(r"(?<![0-9A-Za-z_.,/-])(\d\d)([./])(\d\d)\2(\d\d)(?!\d|[-/.,]\d)")
_EAST_ASIAN_YEAR = re.compile(r"(?<!\d)(\d{4})(?= ?年)")
_RUSSIAN_YEAR = re.compile(r"(?<![\d.,])(?:(?<=[Вв] )|(?P<other>))(\d{4}) ?(году|года|год|г\.)(?!\w)")
_POLISH_YEAR = re.compile(r"(?<![\d.,])(?:(?<=[Ww] )|(?P<other>))(\d{4}) ?(?:roku|r\.)(?!\w)")
_TRAILS = {"ru": r"(?: ?(?:года|г\.))?", "pl": r"(?: ?(?:roku|r\.))?"}
_HUNGARIAN_ENDINGS = r"(?:\.|-(?P<ending>j?[áaeé]n|[ai]|i|áig|éig|ától|étől))?"
_LAST_WORD = re.compile(rf"({LETTER}+)[ ]$")
_DE_N = frozenset(["am", "vom", "zum", "beim", "bis", "den", "dem", "seit", "ab"])
_LAST_DAY, _LAST_MONTH = 31, 12


def say_dates(text: str, language: str, words: Words) -> str:
    if language in _SPACED_ISO:
        text = _ISO_WITH_SPACES.sub(lambda m: _numeric(m, language, words, m.string, m[3], m[2], m[1]), text)
    text = _ISO.sub(lambda m: _numeric(m, language, words, text, m[4], m[3], m[1]), text)
    for pattern in (_NUMERIC, _SHORT):
        text = pattern.sub(_numeric_sayer(text, language, words), text)
    text = _named(text, language, words)
    if language in UNSPACED:
        if language == "zh":
            text = _EAST_ASIAN_YEAR.sub(lambda match: digits(match[1], "zh"), text)
        return say_counted(text, language)
    if language == "ru":
        return _RUSSIAN_YEAR.sub(_russian_year, text)
    if language == "pl":
        return _POLISH_YEAR.sub(_polish_year, text)
    return text


def _numeric_sayer(text: str, language: str, words: Words) -> Callable[[re.Match[str]], str]:
    def say(match: re.Match[str]) -> str:
        first, mark, second, written = match.groups()
        is_month_first = words.is_month_first and mark != "." and int(first) <= _LAST_MONTH
        of_day, of_month = (second, first) if is_month_first else (first, second)
        century = "20" if len(written) == 2 and int(written) < 70 else "19"
        return _numeric(
            match, language, words, text, of_day, of_month, written if len(written) == 4 else century + written
        )

    return say


def _numeric(
    match: re.Match[str], language: str, words: Words, text: str, of_day: str, of_month: str, of_year: str
) -> str:
    if not (1 <= int(of_day) <= _LAST_DAY and 1 <= int(of_month) <= _LAST_MONTH):
        return match[0]
    before = _word_before(text, match.start())
    return spoken(_say(int(of_day), int(of_month), of_year, language, words, before))


def _say(of_day: int, of_month: int, of_year: str, language: str, words: Words, before: str, ending: str = "") -> str:
    template = words.date if of_year else words.day_and_month
    said_day = _day(of_day, language, before) + ending
    said_year = year(int(of_year), language) if of_year else ""
    return template.format(day=said_day, month=words.months[of_month - 1], year=said_year)


def _day(of_day: int, language: str, before: str) -> str:
    if language == "de" and before in _DE_N:
        return ordinal(of_day, "de", "n")
    if language == "de" and before in ("der", "die", "das"):
        return ordinal(of_day, "de")
    return japanese.day(of_day) if language == "ja" else day(of_day, language)


def _named(text: str, language: str, words: Words) -> str:
    if not words.month_names:
        return text

    def say(match: re.Match[str]) -> str:
        name, number = match["month"], int(match["day"])
        if not 1 <= number <= _LAST_DAY or (language in ("en", "de", "tr") and not name[0].isupper()):
            return match[0]
        before = _word_before(text, match.start())
        ending = match.groupdict().get("ending") or ""
        said = _say(number, words.month_names[name.lower()], match["year"] or "", language, words, before)
        return spoken(_hungarian(said, ending) if language == "hu" else said)

    for pattern in _named_patterns(language, tuple(words.month_names)):
        text = pattern.sub(say, text)
    return text


@lru_cache(maxsize=32)
def _named_patterns(language: str, names: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    month = (
        "(?P<month>" + "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) + rf")(?!{LETTER})"
    )
    of_year = r"(?P<year>\d{4})(?!\d|[.,:]\d)"
    trail = _TRAILS.get(language, "")
    of_day = r"(?<![\w.,/:])(?P<day>\d{1,2})"
    first = rf"{of_day}(?:\.|st|nd|rd|th|er|º|°|-го)? (?:de |of )?{month}(?:,? (?:de |del )?{of_year}{trail})?"
    if language == "hu":
        second = rf"(?:(?<![\w.,])(?P<year>\d{{4}})\.? )?(?<!\w){month} (?P<day>\d{{1,2}})(?!\d){_HUNGARIAN_ENDINGS}"
        return (re.compile(second, re.IGNORECASE),)
    if language == "en":
        second = rf"(?<!\w){month} (?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?![\w:%/]|[.,]\d)(?:,? {of_year})?"
        return re.compile(first, re.IGNORECASE), re.compile(second, re.IGNORECASE)
    return (re.compile(first, re.IGNORECASE),)


def _hungarian(said: str, ending: str) -> str:
    if not ending:
        return said
    ending = ending.removeprefix("j")  # "1-jén" of "elseje"
    stem = said[:-1]
    long = {"a": "á", "e": "é"}
    return stem + long.get(said[-1], said[-1]) + ending[1:] if ending[0] in "áaeé" else said + ending


def _russian_year(match: re.Match[str]) -> str:
    written = match[3]
    if written == "г.":
        written = "года" if match["other"] is not None else "году"
    ending = {"году": "м", "года": "го", "год": "й"}[written]
    return spoken(f"{russian_ordinal(int(match[2]), ending)} {written}{_full_stop(match)}")


def _full_stop(match: re.Match[str]) -> str:
    """Of an abbreviation that a sentence ends with."""
    rest = match.string[match.end() : match.end() + 2].lstrip()
    return "." if match[0].endswith(".") and (not rest or not rest[0].islower()) else ""


def _polish_year(match: re.Match[str]) -> str:
    said = polish_genitive(int(match[2]))
    if match["other"] is None:
        said = re.sub(r"ego\b", "ym", re.sub(r"iego\b", "im", said))
    return spoken(f"{said} roku{_full_stop(match)}")


def _word_before(text: str, position: int) -> str:
    found = _LAST_WORD.search(text, max(0, position - 16), position)
    return found[1].lower() if found else ""
