"""Ordinals of Russian, Polish and Czech in the forms that a text asks for; num2words has some of them."""

import re

from num2words import num2words

_CZECH = [
    "nultý",
    "první",
    "druhý",
    "třetí",
    "čtvrtý",
    "pátý",
    "šestý",
    "sedmý",
    "osmý",
    "devátý",
    "desátý",
    "jedenáctý",
    "dvanáctý",
    "třináctý",
    "čtrnáctý",
    "patnáctý",
    "šestnáctý",
    "sedmnáctý",
    "osmnáctý",
    "devatenáctý",
]
_CZECH_TENS = (
    "",
    "",
    *["dvacátý", "třicátý", "čtyřicátý", "padesátý", "šedesátý", "sedmdesátý", "osmdesátý", "devadesátý"],
)
_CZECH_HUNDREDS = {100: "stý", 200: "dvoustý", 1_000: "tisící", 2_000: "dvoutisící"}
# Endings of a Russian ordinal of the masculine: -ый or -ой, and those of "третий".
_HARD = {"я": "ая", "е": "ое", "го": "ого", "му": "ому", "м": "ом", "х": "ых", "ю": "ую", "ми": "ыми"}
_SOFT = {"я": "ья", "е": "ье", "го": "ьего", "му": "ьему", "м": "ьем", "х": "ьих", "ю": "ью", "ми": "ьими"}


def russian_ordinal(value: int, ending: str = "") -> str:
    """`ending` as a text writes it behind the hyphen: й, я, е, го, му, м, х, ю."""
    words = str(num2words(value, lang="ru", ordinal=True))
    words = words.removeprefix("одна ")
    short = re.sub(r"^[оыаиь](?=го$|му$|м$|х$|ми$)", "", ending.removeprefix("ь").removeprefix("ы"))
    short = {"ая": "я", "ое": "е", "ые": "е", "ую": "ю", "ой": "й"}.get(short, short)
    if words.endswith("третий"):
        return words[:-2] + _SOFT[short] if short in _SOFT else words
    return words[:-2] + _HARD[short] if short in _HARD else words


def polish_genitive(value: int) -> str:
    """Of a day or a year: only its last two figures are ordinals ("tysiąc dziewięćset dziewięćdziesiątego")."""
    low = value % 100
    if value >= 100 and low:
        return f"{num2words(value - low, lang='pl')} {polish_genitive(low)}"
    if value in (0, 2_000):
        return "dwutysięcznego" if value else "zerowego"  # num2words has no zeroth
    words = str(num2words(value, lang="pl", ordinal=True)).split()
    return " ".join(re.sub("i$", "iego", re.sub("y$", "ego", word)) for word in words)


def polish_gender(words: str, ending: str) -> str:
    """An ordinal's words in the feminine ("a") or neuter ("e")."""
    if ending == "a":
        return " ".join(_polish_feminine(word) for word in words.split())
    return re.sub(r"(?<=[^cgk])i\b|y\b", "e", re.sub(r"(?<=[cgk])i\b", "ie", words)) if ending == "e" else words


def _polish_feminine(word: str) -> str:
    return "druga" if word == "drugi" else re.sub("i$", "ia", re.sub("y$", "a", word))


def polish_feminine(value: int) -> str:
    """Of an hour: "czternasta"."""
    return polish_gender(str(num2words(value, lang="pl", ordinal=True)), "a")


def czech_ordinal(value: int, ending: str = "") -> str:
    """`ending`: "á" and "é" for the other genders, "ého" for the genitive, also of "třetí"."""
    words = _czech_words(value)
    if not ending:
        return " ".join(words)
    soft = "ího" if ending == "ého" else "í"
    return " ".join(re.sub("ý$", ending, re.sub("í$", soft, word)) for word in words)


def _czech_words(value: int) -> list[str]:
    if value < 20:
        return [_CZECH[value]]
    if value < 100:
        tens = [_CZECH_TENS[value // 10]]
        return tens + ([_CZECH[value % 10]] if value % 10 else [])
    if value in _CZECH_HUNDREDS:
        return [_CZECH_HUNDREDS[value]]
    low = value % 100
    head = str(num2words(value - low, lang="cs")) if low else f"číslo {num2words(value, lang='cs')}"
    return [head, *(_czech_words(low) if low else [])]
