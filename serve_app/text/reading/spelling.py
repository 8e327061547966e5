"""A text read as its author says it is to be read: letter by letter, as a number, a date, a time."""

import re
from collections.abc import Callable

from serve_app.text.reading.dates import say_dates
from serve_app.text.reading.figures import UNSPACED, say_whole
from serve_app.text.reading.numerals import MAX_DIGITS, digits, ordinal
from serve_app.text.reading.tables import words_of
from serve_app.text.reading.times import say_times

_NOT_FIGURES = re.compile(r"[^0-9]+")


def say_as(text: str, kind: str, primary: str) -> str | None:
    """None for a kind that is not known. `primary` is a primary subtag; without a table the text stays as it is.

    What does not look like its kind ("ordinal" of "abc") is left to be read as any text.
    """
    say = _KINDS.get(kind)
    if say is None:
        return None
    return text if words_of(primary) is None else say(_plain_digits(text), primary)


def _plain_digits(text: str) -> str:
    return "".join(str(int(char)) if char.isdecimal() else char for char in text)


def _characters(text: str, primary: str) -> str:
    words = words_of(primary)
    marks = words.address if words is not None else {}
    said = (digits(char, primary) if char in "0123456789" else marks.get(char, char) for char in text)
    return " ".join(each for each in said if not each.isspace())


def _figures(text: str, primary: str) -> str:
    groups = [group for group in _NOT_FIGURES.split(text) if group]
    joint = "、" if primary in UNSPACED else ", "
    return joint.join(digits(group, primary) for group in groups) if groups else text


def _cardinal(text: str, primary: str) -> str:
    figures = _NOT_FIGURES.sub("", text) if re.fullmatch(r"[0-9., ']+", text) else ""
    return say_whole(figures.lstrip("0") or "0", primary) if figures else text


def _ordinal(text: str, primary: str) -> str:
    figures = _NOT_FIGURES.sub("", text)
    return ordinal(int(figures), primary) if figures and len(figures) <= MAX_DIGITS - 6 else text


def _date(text: str, primary: str) -> str:
    words = words_of(primary)
    return say_dates(text, primary, words) if words is not None else text


def _time(text: str, primary: str) -> str:
    words = words_of(primary)
    return say_times(text, primary, words) if words is not None else text


def _telephone(text: str, primary: str) -> str:
    said = _figures(text, primary)
    return f"+ {said}" if text.startswith("+") else said


_KINDS: dict[str, Callable[[str, str], str]] = {
    "characters": _characters,
    "spell-out": _characters,
    "cardinal": _cardinal,
    "ordinal": _ordinal,
    "date": _date,
    "time": _time,
    "telephone": _telephone,
    "digits": _figures,
}
