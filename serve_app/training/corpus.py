"""Sentences for the teachers to say, from text that Debian packages bring: quotations and the dictionary's examples.

Numbers and names, which those have few of, come from templates. Knows no audio.
"""

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path

FORTUNES_DIR = Path("/usr/share/games/fortunes")  # packages fortunes, fortunes-min
WORDNET_DIR = Path("/usr/share/wordnet")  # package wordnet-base
FORTUNES = (
    "art", "computers", "cookie", "definitions", "education", "ethnic", "food", "fortunes", "goedel", "humorists",
    "kids", "law", "linux", "linuxcookie", "literature", "love", "magic", "medicine", "men-women", "miscellaneous",
    "news", "paradoxum", "people", "pets", "platitudes", "politics", "riddles", "science", "songs-poems", "sports",
    "startrek", "translate-me", "wisdom", "work",
)  # fmt: skip

MIN_WORDS, MAX_WORDS = 3, 26
MAX_CHARS = 170

_SENTENCE = re.compile(r"[A-Z][^.!?]*[.!?]+(?=\s|$)")
_ALLOWED = re.compile(r"[A-Za-z ,.?!';:-]+")
_ROMAN_OR_ACRONYM = re.compile(r"\b[A-Z]{2,}\b")


def sentences() -> list[str]:
    """Each once, in an order that is the same on every machine with the same packages.

    Raises FileNotFoundError with the packages to install.
    """
    if not FORTUNES_DIR.is_dir() or not WORDNET_DIR.is_dir():
        raise FileNotFoundError("the texts are not installed. Run: apt install fortunes wordnet-base")
    found = [*_from_fortunes(), *_from_wordnet(), *templates(random.Random(7), 2_500)]
    unique = list(dict.fromkeys(found))
    random.Random(1).shuffle(unique)
    return unique


def without(candidates: Iterable[str], held_out: Sequence[str]) -> list[str]:
    """The candidates but for those that share their words with a held-out sentence."""
    forbidden = {_key(sentence) for sentence in held_out}
    return [sentence for sentence in candidates if _key(sentence) not in forbidden]


def _key(sentence: str) -> str:
    return " ".join(re.findall(r"[a-z']+", sentence.lower()))


def _from_fortunes() -> Iterator[str]:
    for name in FORTUNES:
        path = FORTUNES_DIR / name
        if not path.is_file():
            continue
        for quotation in path.read_text(encoding="utf-8", errors="ignore").split("\n%\n"):
            prose = re.sub(r"\n\s*--.*", "", quotation, flags=re.DOTALL)
            prose = re.sub(r"\s+", " ", prose.replace("\x08", "").replace('"', ""))
            yield from filter(None, map(_tidy, _SENTENCE.findall(prose)))


def _from_wordnet() -> Iterator[str]:
    for part in ("noun", "verb", "adj", "adv"):
        text = (WORDNET_DIR / f"data.{part}").read_text(encoding="utf-8", errors="ignore")
        for example in re.findall(r'"([^"\n]*)"', text):
            tidy = _tidy(example[:1].upper() + example[1:] + ("" if example[-1:] in ".?!" else "."))
            if tidy:
                yield tidy


def _tidy(sentence: str) -> str | None:
    sentence = re.sub(r"\s+", " ", sentence.replace("--", ",").replace(" - ", ", ")).strip()
    sentence = re.sub(r"([.?!])[.?!]+$", r"\1", sentence).replace("...", ",")
    words = sentence.split()
    if not MIN_WORDS <= len(words) <= MAX_WORDS or len(sentence) > MAX_CHARS:
        return None
    if not _ALLOWED.fullmatch(sentence) or _ROMAN_OR_ACRONYM.search(sentence):
        return None
    return sentence


_NAMES = """
Alice Ahmed Anna Ben Carla Chen Daniel David Diana Elena Emma Eric Fatima Frank Grace Hannah Henry Ivan Jack James
Jane Julia Kevin Laura Linda Lisa Lucas Maria Mark Martin Mary Michael Mohammed Nina Oliver Olivia Omar Patricia Paul
Peter Priya Rachel Robert Rosa Samuel Sarah Simon Sofia Steven Susan Thomas Victor William Yuki
""".split()  # noqa: SIM905 (a list of one word a line hides the rest)
_PLACES = """
Africa Berlin Boston Brazil Canada Chicago Denver Dublin Egypt England France Germany Houston India Ireland Italy
Japan London Madrid Mexico Moscow Paris Portland Rome Seattle Spain Sydney Texas Tokyo Vienna
""".split()  # noqa: SIM905 (a list of one word a line hides the rest)
_MONTHS = """
January February March April May June July August September October November December
""".split()  # noqa: SIM905 (a list of one word a line hides the rest)
_DAYS = """
Monday Tuesday Wednesday Thursday Friday Saturday Sunday
""".split()  # noqa: SIM905 (a list of one word a line hides the rest)
_THINGS = """
apples books boxes cars chairs children dogs dollars doors eggs files hours houses letters meetings miles minutes
pages people pounds questions rooms seconds steps students tickets trees weeks windows years
""".split()  # noqa: SIM905 (a list of one word a line hides the rest)
_TEMPLATES = (
    "{name} bought {n} {things} in {place}.",
    "The train to {place} leaves at {hour} {minute}.",
    "There are {n} {things} and {m} {things2} left.",
    "Call {name} at {n}, {m}, {big}.",
    "It happened on {day}, the {ordinal} of {month}.",
    "In {year}, {name} moved from {place} to {place2}.",
    "The price went up from {n} to {m} dollars.",
    "Chapter {n} starts on page {big}.",
    "About {n} percent of the {things} came from {place}.",
    "My flight from {place} lands on {day} at {hour} in the morning.",
    "{name} and {name2} will be here in {n} minutes.",
    "Is it {n} or {m} {things}?",
    "Please wait for {n} seconds, {name}.",
    "He ran {n} miles in {m} minutes.",
    "Our meeting with {name} is on {month} {ordinal}.",
    "The population of {place} is more than {big} thousand.",
)


def templates(draw: random.Random, count: int) -> list[str]:
    """Sentences with names, places, dates and numbers, numbers spelled as words."""
    return [_fill(draw) for _ in range(count)]


def _fill(draw: random.Random) -> str:
    from num2words import num2words

    def number(low: int, high: int) -> str:
        return str(num2words(draw.randint(low, high)))

    return draw.choice(_TEMPLATES).format(
        name=draw.choice(_NAMES), name2=draw.choice(_NAMES), place=draw.choice(_PLACES), place2=draw.choice(_PLACES),
        month=draw.choice(_MONTHS), day=draw.choice(_DAYS), things=draw.choice(_THINGS), things2=draw.choice(_THINGS),
        n=number(2, 20), m=number(2, 99), big=number(100, 999), hour=number(1, 12), minute=number(10, 59),
        year=num2words(draw.randint(1800, 2030), to="year"),
        ordinal=num2words(draw.randint(1, 31), to="ordinal"),
    )  # fmt: skip


def held_out_sentences() -> list[str]:
    """The hundred sentences that a model's word error rate is measured by; no training text has one of them."""
    text = resources.files("serve_app.training").joinpath("data/held_out.txt").read_text(encoding="utf-8")
    return text.splitlines()
