"""Amounts in a text → words: money, percentages, measures."""

import re
from collections.abc import Callable
from functools import lru_cache

from serve_app.text.reading.figures import NOT_AFTER_LETTER, NUMBER, UNSPACED, form_of, number_parts, say_number, spoken
from serve_app.text.reading.tables import words_of
from serve_app.text.reading.words import Counted, Words, pairs

CODES = pairs(
    "USD = $; US$ = $; EUR = €; GBP = £; JPY = ¥; CNY = ¥; "
    "KRW = ₩; INR = ₹; PLN = zł; CZK = Kč; HUF = Ft; TRY = ₺; RUB = ₽"
)
# A letter that would go on with a unit's name; scripts that write no spaces go on with something else.
_GOES_ON = r"(?![^\W\u3005-\u30ff\u3400-\u9fff\uac00-\ud7af]|')"
_PERCENTS = ("процент", "процента", "процентов")
_MINOR_DIGITS = 2


def say_amounts(text: str, language: str, words: Words) -> str:
    before, after = _money_patterns(language, tuple(words.currencies), words.scales)
    text = before.sub(lambda match: _money(match, language, words), text)
    text = after.sub(lambda match: _money(match, language, words), text)
    text = _percentages(text, language, words)
    text = _unit_pattern(tuple(words.units)).sub(_measure(language, words), text)
    return _named_pattern(language).sub(_named_measure(language), text) if words.agreement else text


@lru_cache(maxsize=32)
def _money_patterns(
    language: str, signs: tuple[str, ...], scales: tuple[str, ...]
) -> tuple[re.Pattern[str], re.Pattern[str]]:
    known = sorted((*signs, *CODES), key=len, reverse=True)
    sign = "(?P<sign>" + "|".join(re.escape(each) + (_GOES_ON if each[-1].isalpha() else "") for each in known) + ")"
    named = "|".join(re.escape(each) for each in sorted(scales, key=len, reverse=True))
    ends = "" if language in (*UNSPACED, "ko") else r"(?!\w)"
    scale = rf"(?: ?(?P<scale>{named}){ends})?" if named else "(?P<scale>)"
    number = f"(?P<number>{NUMBER})"
    return (
        re.compile(rf"{NOT_AFTER_LETTER}(?<!\d)(?:{sign.replace(_GOES_ON, '')}) ?{number}{scale}"),
        re.compile(rf"{number}{scale} ?{sign}"),
    )


def _money(match: re.Match[str], language: str, words: Words) -> str:
    token, scale = match["number"], match["scale"]
    key = CODES.get(match["sign"], match["sign"])
    if key not in words.currencies:
        return match[0]
    whole, hundredth = words.currencies[key]
    joint = "" if language in UNSPACED else " "
    if scale:
        name = whole.forms[min(2, len(whole.forms) - 1)]
        link = words.scale_link if words.scale_link != "d'" or name[0] in "aeiou" else "de "
        return spoken(f"{say_number(token, language)}{joint}{scale}{joint}{link}{name}")
    parts = number_parts(token, words.group)
    if hundredth is None or parts is None or len(parts[1]) != _MINOR_DIGITS:
        return spoken(_counted(token, whole, language, joint))
    minor = str(int(parts[1]))
    if minor == "0":
        return spoken(_counted(parts[0], whole, language, joint))
    said = _counted(minor, hundredth, language, joint)
    return spoken(said if not int(parts[0]) else f"{_counted(parts[0], whole, language, joint)}{words.cents}{said}")


def _counted(token: str, counted: Counted, language: str, joint: str) -> str:
    said, name = say_number(token, language, counted.gender), form_of(counted, token, language)
    if language == "zh" and token == "2":
        said = "两"
    return _elided(said, name) if language == "it" else f"{said}{joint}{name}"


def _elided(said: str, name: str) -> str:
    """ "un'ora"."""
    is_elided = said.endswith("una") and name[0] in "aeiou"
    return f"{said[:-1]}'{name}" if is_elided else f"{said} {name}"


def _percentages(text: str, language: str, words: Words) -> str:
    def say(match: re.Match[str]) -> str:
        token = match["number"]
        percents = form_of(Counted(_PERCENTS), token, language) if language == "ru" else ""
        said = words.percent.format(n=say_number(token, language), percents=percents)
        is_open = language == "hu" and match.string[match.end() : match.end() + 1] == "-"
        return spoken(said).rstrip("\x1f") if is_open else spoken(said)

    text = re.sub(rf"(?P<number>{NUMBER}) ?%", say, text)
    if language == "hu":
        return re.sub(r"(?<=százalék)-(?=\w)", "", text)
    return re.sub(rf"% ?(?P<number>{NUMBER})", say, text) if language == "tr" else text


@lru_cache(maxsize=32)
def _unit_pattern(symbols: tuple[str, ...]) -> re.Pattern[str]:
    known = sorted(symbols, key=len, reverse=True)
    # Raised figures stand apart by now: "m²" is "m 2".
    written = (
        re.sub(r"([23])$", r" ?\1", re.escape(each)).replace("°", "° ?") if each != "°" else each for each in known
    )
    return re.compile(rf"(?P<number>{NUMBER}) ?(?P<unit>{'|'.join(written)}){_GOES_ON}(?![/°])")


@lru_cache(maxsize=32)
def _named_units(language: str) -> dict[str, Counted]:
    """Written-out names of units that change the number before them: "1 Stunde", "2 horas"."""
    words = words_of(language)
    units = words.units.values() if words is not None else ()
    return {form: unit for unit in units if unit.gender for form in unit.forms}


@lru_cache(maxsize=32)
def _named_pattern(language: str) -> re.Pattern[str]:
    names = "|".join(re.escape(form) for form in sorted(_named_units(language), key=len, reverse=True))
    return re.compile(rf"(?P<number>{NUMBER}) (?P<unit>{names})(?!\w)")


def _named_measure(language: str) -> Callable[[re.Match[str]], str]:
    def say(match: re.Match[str]) -> str:
        unit = _named_units(language)[match["unit"]]
        said = say_number(match["number"], language, unit.gender)
        return spoken(_elided(said, match["unit"]) if language == "it" else f"{said} {match['unit']}")

    return say


def _measure(language: str, words: Words) -> Callable[[re.Match[str]], str]:
    joint = "" if language in UNSPACED else " "

    def say(match: re.Match[str]) -> str:
        unit = words.units[match["unit"].replace(" ", "")]
        return spoken(_counted(match["number"], unit, language, joint))

    return say
