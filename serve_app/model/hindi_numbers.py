"""Numbers in a Hindi text → words, which coqui's cleaners cannot do: num2words has no Hindi."""

import re

from serve_app.text.reading.hindi import UNDER_HUNDRED, hindi_cardinal

NUMBER = re.compile(r"[0-9]+(?:,[0-9]+)*(?:\.[0-9]+)?")
POINT = "दशमलव"
MAX_DIGITS = 13  # a hundred kharab; longer numbers are read digit by digit


def read_numbers(text: str) -> str:
    """The text with every number of ASCII digits spelled out; commas group, a point begins decimals."""
    return NUMBER.sub(lambda match: _spell(match.group()), text)


def _spell(number: str) -> str:
    whole, _, decimals = number.replace(",", "").partition(".")
    is_read_whole = len(whole) <= MAX_DIGITS and (whole == "0" or not whole.startswith("0"))
    words = [hindi_cardinal(int(whole))] if is_read_whole else _spell_digits(whole)
    if decimals:
        words += [POINT, *_spell_digits(decimals)]
    return " ".join(words)


def _spell_digits(digits: str) -> list[str]:
    return [UNDER_HUNDRED[int(digit)] for digit in digits]
