"""What a language's table holds: the words that figures and signs are said in. Knows no text and no rule."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Counted:
    """A word that stands behind a number, in the forms that the number asks for."""

    forms: tuple[str, ...]  # after 1, else; Slavic: after 1, 2 to 4, 5 and more, a decimal
    gender: str = ""  # "m", "f" or "n" where it changes the number


@dataclass(frozen=True)
class Words:
    """A language's own words. Templates name their gaps: {h}, {m}, {day}, {month}, {year}, {n}."""

    point: str  # before decimals
    minus: str
    to: str  # between the ends of a range
    over: str  # between numerator and denominator
    group: str  # the mark between thousands: "," or "."
    percent: str  # a template of {n}
    signs: dict[str, str]  # signs alone
    address: dict[str, str]  # the marks of web and mail addresses
    fractions: dict[str, str]
    months: tuple[str, ...]  # as a date says them
    month_names: dict[str, int]  # every way to write one, in lower case → 1 … 12
    date: str
    day_and_month: str
    clock: str
    full_hour: str
    units: dict[str, Counted]
    currencies: dict[str, tuple[Counted, Counted | None]]
    scales: tuple[str, ...] = ()  # "million": may stand between an amount and its currency
    scale_link: str = ""  # and what is then said between the two
    cents: str = " "  # between the whole and the hundredths of an amount
    abbreviations: dict[str, str] = field(default_factory=dict)
    agreement: dict[str, dict[str, str]] = field(default_factory=dict)  # gender → a number's last word → its form
    has_decimal_digits: bool = True  # 3.14 is "one four", not "fourteen"
    groups_by_space: bool = False
    is_month_first: bool = False  # 3/10 is the tenth of March


def counted(text: str) -> Counted:
    """ "f: hour|hours" → its forms and gender."""
    gender, mark, forms = text.partition(": ")
    return Counted(tuple(forms.split("|")), gender) if mark else Counted(tuple(text.split("|")))


def units(text: str) -> dict[str, Counted]:
    """ "km = kilometer|kilometers; …" """
    return {key: counted(value) for key, value in pairs(text).items()}


def currencies(text: str) -> dict[str, tuple[Counted, Counted | None]]:
    """ "$ = dollar|dollars + cent|cents; …" """
    table = {}
    for sign, value in pairs(text).items():
        whole, mark, hundredth = value.partition(" + ")
        table[sign] = (counted(whole), counted(hundredth) if mark else None)
    return table


def pairs(text: str) -> dict[str, str]:
    """ "key = value; key = value": a value may be empty."""
    entries = (entry.strip().partition(" =") for entry in text.split(";") if entry.strip())
    return {key: value.strip() for key, _, value in entries}


def month_names(*lists: str) -> dict[str, int]:
    """Lists of twelve names each."""
    return {name.lower(): number for names in lists for number, name in enumerate(names.split(), 1)}
