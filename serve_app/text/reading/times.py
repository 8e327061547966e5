"""Times of day in a text → words: "14:30", "3 pm", "14h30", "14.30 Uhr"."""

import re

from serve_app.text.characters import JOINT
from serve_app.text.reading import japanese
from serve_app.text.reading.figures import UNSPACED, agreed, form_of, spoken
from serve_app.text.reading.numerals import cardinal, korean_native
from serve_app.text.reading.slavic import polish_feminine
from serve_app.text.reading.words import Words

_HOUR = r"(?<![0-9A-Za-z_:.,/])(?P<h>[01]?\d|2[0-4])"
_MINUTE = r"(?P<m>[0-5]\d)(?:[:.](?P<s>[0-5]\d))?(?![\d:]|[.,]\d)"
_TRAILS = {
    "de": r"(?: ?Uhr)?",
    "nl": r"(?: ?uur| ?u\.?(?!\w))?",
    "es": r"(?: ?h(?:oras|rs)?\.?(?!\w))?",
    "pt": r"(?: ?h(?:oras|rs)?\.?(?!\w))?",
    "fr": r"(?: ?h(?:eures)?(?!\w))?",
    "ru": r"(?: ?ч(?:асов)?\.?(?!\w))?",
    "cs": r"(?: ?hod(?:in)?\.?(?!\w))?",
    "hi": r"(?: ?बजे)?",
}
_ENGLISH_HALF = re.compile(rf"{_HOUR}(?:[:.](?P<m>[0-5]\d))? ?(?P<half>[ap])\.? ?m(?!\w)(?P<dot>\.)?", re.IGNORECASE)
_PATTERNS = {
    "de": re.compile(rf"{_HOUR}(?:[:.]{_MINUTE})? ?Uhr(?: (?P<after>[0-5]?\d)(?![\w.,:]))?"),
    "nl": re.compile(rf"{_HOUR}[:.]{_MINUTE} ?u(?:ur|\.)?(?!\w)"),
    "fr": re.compile(rf"{_HOUR} ?h ?{_MINUTE}"),
    "pt": re.compile(rf"{_HOUR} ?h ?{_MINUTE}"),
    "es": re.compile(rf"{_HOUR} ?h ?{_MINUTE}"),
}
_RATIO = re.compile(r"(?<=\d):(?=\d{1,4}(?![\d:]|[.,]\d))")  # "16:9", "3:2"
_RATIO_WORDS = {
    "en": "to",
    "es": "a",
    "fr": "à",
    "it": "a",
    "pt": "a",
    "de": "zu",
    "nl": "tegen",
    "pl": "do",
    "cs": "ku",
    "ar": "إلى",
    "hi": "अनुपात",
    "zh": "比",
    "ja": "たい",
    "ko": "대",
}
_FEMININE_HOURS = ("es", "fr", "pt", "it", "cs")
_WITH_ZERO = {"en": "oh", "pl": "zero", "ru": "ноль", "tr": "sıfır"}
_POLISH_PREPOSITION = re.compile(r"(?<!\w)(?:[oO]|[oO]d|[dD]o|[pP]o|[oO]koło|[pP]rzed) $")
_ARABIC_HOURS = (
    "الثانية عشرة",
    *("الواحدة", "الثانية", "الثالثة", "الرابعة", "الخامسة", "السادسة", "السابعة"),
    *("الثامنة", "التاسعة", "العاشرة", "الحادية عشرة"),
)
_AFTERNOON = "مساء"


def say_times(text: str, language: str, words: Words) -> str:
    def say(match: re.Match[str]) -> str:
        found = match.groupdict()
        minute = found.get("m") or found.get("after") or "0"
        said = _say(int(match["h"]), int(minute), found.get("s"), language, words)
        return spoken(_polish_at(said, match) if language == "pl" else said)

    if language == "en":
        text = _ENGLISH_HALF.sub(_half, text)
    if language in _PATTERNS:
        text = _PATTERNS[language].sub(say, text)
    text = re.sub(rf"{_HOUR}:{_MINUTE}{_TRAILS.get(language, '')}", say, text)
    joint = "" if language in UNSPACED else " "
    return _RATIO.sub(f"{JOINT}{joint}{_RATIO_WORDS.get(language, '-')}{joint}", text)


def _polish_at(said: str, match: re.Match[str]) -> str:
    """ "o czternastej": most prepositions ask for it."""
    if not _POLISH_PREPOSITION.search(match.string, max(0, match.start() - 8), match.start()):
        return said
    hour, space, minute = said.partition(" ")
    if hour == "dwudziesta" and minute.split(" ")[0].endswith("a"):
        second, space, minute = minute.partition(" ")
        return f"dwudziestej {second[:-1]}ej{space}{minute}"
    return re.sub("a$", "ej", hour) + space + minute


def _half(match: re.Match[str]) -> str:
    """ "3:30 p.m.": the last full stop ends the sentence too where no more of it follows."""
    minute = int(match["m"] or 0)
    said = cardinal(int(match["h"]), "en") + (f" {_minute(minute, 'en')}" if minute else "")
    rest = match.string[match.end() : match.end() + 2].lstrip()
    ends = match["dot"] and (not rest or rest[:1].isupper())
    return spoken(f"{said} {match['half'].lower()} m" + ("." if ends else ""))


def _say(hour: int, minute: int, second: str | None, language: str, words: Words) -> str:
    template = words.clock if minute else words.full_hour
    if language == "en" and not 1 <= hour <= 12 and not minute:
        template = "{h} hundred" if hour else "{h} hours"
    unit = words.units.get("h") or words.units.get("ч")
    hours = form_of(unit, str(hour), language) if unit is not None else ""
    said = template.format(h=_hour(hour, language), m=_minute(minute, language), hours=hours)
    if language == "ar" and hour > 12:
        said = f"{said} {_AFTERNOON}"
    if second is None or int(second) == 0:
        return said
    of_second = words.units.get("s") or words.units.get("сек") or words.units.get("sec") or words.units.get("sn")
    joint = "" if language in UNSPACED else " "
    linked = joint if language in (*UNSPACED, "ko") else f" {words.signs['&']} "
    name = form_of(of_second, str(int(second)), language) if of_second else ""
    number = agreed(cardinal(int(second), language), language, of_second.gender if of_second else "")
    return f"{said}{linked}{number}{joint}{name}".rstrip()


def _hour(hour: int, language: str) -> str:
    if language == "pl":
        return polish_feminine(hour) if hour else "zero"
    if language == "ar":
        return _ARABIC_HOURS[hour % 12]
    if language == "ko" and 1 <= hour <= 12:
        return korean_native(hour)
    if language == "ja":
        return japanese.hour(hour)
    if language == "zh" and hour == 2:
        return "两"
    if language == "de" and hour == 1:
        return "ein"
    return agreed(cardinal(hour, language), language, "f" if language in _FEMININE_HOURS else "")


def _minute(minute: int, language: str) -> str:
    if language == "ja":
        return japanese.minute(minute)
    said = cardinal(minute, language)
    return f"{_WITH_ZERO[language]} {said}" if minute < 10 and language in _WITH_ZERO else said
