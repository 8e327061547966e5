"""Numbers in a Hindi text → words, which coqui's cleaners cannot do: num2words has no Hindi."""

import re

NUMBER = re.compile(r"[0-9]+(?:,[0-9]+)*(?:\.[0-9]+)?")
POINT = "दशमलव"
HUNDRED = "सौ"
ZERO_TO_NINETY_NINE = (
    "शून्य एक दो तीन चार पाँच छह सात आठ नौ "
    "दस ग्यारह बारह तेरह चौदह पंद्रह सोलह सत्रह अठारह उन्नीस "
    "बीस इक्कीस बाईस तेईस चौबीस पच्चीस छब्बीस सत्ताईस अट्ठाईस उनतीस "
    "तीस इकतीस बत्तीस तैंतीस चौंतीस पैंतीस छत्तीस सैंतीस अड़तीस उनतालीस "
    "चालीस इकतालीस बयालीस तैंतालीस चौवालीस पैंतालीस छियालीस सैंतालीस अड़तालीस उनचास "
    "पचास इक्यावन बावन तिरपन चौवन पचपन छप्पन सत्तावन अट्ठावन उनसठ "
    "साठ इकसठ बासठ तिरसठ चौंसठ पैंसठ छियासठ सड़सठ अड़सठ उनहत्तर "
    "सत्तर इकहत्तर बहत्तर तिहत्तर चौहत्तर पचहत्तर छिहत्तर सतहत्तर अठहत्तर उन्यासी "
    "अस्सी इक्यासी बयासी तिरासी चौरासी पचासी छियासी सत्तासी अट्ठासी नवासी "
    "नब्बे इक्यानवे बानवे तिरानवे चौरानवे पचानवे छियानवे सत्तानवे अट्ठानवे निन्यानवे"
)
UNDER_HUNDRED = ZERO_TO_NINETY_NINE.split()
SCALES = ((10**11, "खरब"), (10**9, "अरब"), (10**7, "करोड़"), (10**5, "लाख"), (10**3, "हज़ार"))
MAX_DIGITS = 13  # a hundred kharab; longer numbers are read digit by digit


def read_numbers(text: str) -> str:
    """The text with every number of ASCII digits spelled out; commas group, a point begins decimals."""
    return NUMBER.sub(lambda match: _spell(match.group()), text)


def _spell(number: str) -> str:
    whole, _, decimals = number.replace(",", "").partition(".")
    is_read_whole = len(whole) <= MAX_DIGITS and (whole == "0" or not whole.startswith("0"))
    words = _spell_whole(int(whole)) if is_read_whole else _spell_digits(whole)
    if decimals:
        words += [POINT, *_spell_digits(decimals)]
    return " ".join(words)


def _spell_digits(digits: str) -> list[str]:
    return [UNDER_HUNDRED[int(digit)] for digit in digits]


def _spell_whole(value: int) -> list[str]:
    words: list[str] = []
    for size, name in SCALES:
        if value >= size:
            words += [*_spell_whole(value // size), name]
            value %= size
    if value >= 100:
        words += [UNDER_HUNDRED[value // 100], HUNDRED]
        value %= 100
    return [*words, UNDER_HUNDRED[value]] if value or not words else words
