"""Numbers in a text → words: with marks for thousands and decimals, ordinals, ranges, fractions, whatever is left."""

import re
from functools import lru_cache

from serve_app.text.characters import JOINT
from serve_app.text.reading.numerals import MAX_DIGITS, cardinal, digits, korean_native, ordinal, year
from serve_app.text.reading.tables import words_of
from serve_app.text.reading.words import Counted, Words

UNSPACED = ("zh", "ja")  # languages that put no space between a number and its word
# One number as it is written, and nothing that it is a part of. Bounded, so that it is found in linear time.
NUMBER = r"(?<!\d)(?<!\d[.,])\d{1,15}(?:[.,]\d{1,15}){0,5}(?![.,]?\d)"
LETTER = r"[^\W\d_]"
# Scripts without spaces may go on with a number.
NOT_AFTER_LETTER = r"(?<![^\W\d_\u3005-\u30ff\u3400-\u9fff\uac00-\ud7af])"
_ANY_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SPACED_GROUPS = re.compile(r"(?<![\d.,])(\d{1,3})((?: \d{3}){1,4})(?!\d| \d)")
_APOSTROPHES = re.compile(r"(?<=\d)'(?=\d{3}(?!\d))")
_RANGE = re.compile(r"(?<=[\d%°])-(?=\d)")
_HUNGARIAN_RANGE = re.compile(rf"({NUMBER})-(?=\d)")
_MINUS = re.compile(NOT_AFTER_LETTER + r"(?<![\d_)%°])-(?=[$€£¥₩₹]?\d)")
_MIXED = re.compile(r"(?<![\d./,])(?:(\d{1,3}) )?(\d{1,4})/(\d{1,4})(?![\d/]|[.,]\d)")
_POINT_FIRST = re.compile(r"(?<![\w.])\.(?=\d)")
_MIN_PLAIN_DIGITS = 10  # without marks between thousands it is no amount
_MAX_ROUND_DIGITS = 3  # of a round number, the zeros left out
_YEARS = {"en": (range(1_100, 2_000), range(2_010, 2_100)), "de": (range(1_100, 2_000),), "nl": (range(1_100, 2_000),)}

_ORDINALS = {
    "en": r"(\d{1,15})(st|nd|rd|th)(?!\w)",
    "es": r"(\d{1,9})\.?(º|ª|er)(?!\w)",
    "fr": r"(\d{1,9})(ers?|ère|re|nde?|èmes?|es?|º|ª)(?!\w)",
    "it": r"(\d{1,9})(º|ª)(?!\w)",
    "pt": r"(\d{1,9})\.?(º|ª)(?!\w)",
    "nl": r"(\d{1,9})(ste|de|e)(?!\w)",
    "ru": r"(\d{1,9})-([ыоа]?й|а?я|[оыи]?е|о?го|о?му|ы?м|ом|ых|х|у?ю|ми)(?!\w)",
    "tr": r"(\d{1,9})'?([ıiuü]?nc[ıiuü])",
    "ko": r"(\d{1,9}) ?(번째)",
    "ja": r"(\d{1,15})(番目)",
    "hi": r"(\d{1,9})(ला|रा|था|व(?:ां|ाँ|ीं|ें))(?![\w\u0900-\u097f])",
}
# A full stop makes an ordinal where the sentence goes on: "3. října", "am 3. Tag".
_DOTTED_ORDINALS = {
    "de": re.compile(rf"(?<![\w.,])(\d{{1,4}})\.(?= ({LETTER}))"),
    **{each: re.compile(rf"(?<![\w.,])(\d{{1,4}})\.(?= ({LETTER}))") for each in ("cs", "pl", "hu", "tr")},
}
_NEXT_WORD = re.compile(rf" ({LETTER}+)")
_ENDINGS_BY_NOUN = {"pl": {"a": "a", "o": "e", "e": "e"}, "cs": {"a": "á", "o": "é", "e": "é"}}
_FEMININE_HUNDREDS = {"es": "(ient)os", "pt": "(ent)os"}
_LAST_WORD = re.compile(rf"({LETTER}+)[ ]$")
_DE_N = frozenset(
    [
        "am",
        "im",
        "vom",
        "zum",
        "zur",
        "beim",
        "dem",
        "den",
        "des",
        "der",
        "einem",
        "einen",
        "eines",
        "seit",
        "ab",
        "bis",
        "diesem",
        "jeden",
        "jedem",
    ]
)
_DE_E = frozenset(["die", "das", "der", "dieser", "diese", "dieses"])
_MASCULINE_IN_A = ("ma", "mas", "día", "días", "dia", "dias", "mapa", "mapas")
_KOREAN_COUNTERS = re.compile(r"(?<![\d제.,])(\d{1,2}) ?(시간|개월|시|살|개|명|마리|잔|권|병|송이|켤레|그루|가지|사람)")
_KOREAN_MONTHS = re.compile(r"(?<!\d)(1[0-2]|0?[1-9]) ?월")
_BEFORE_ENDINGS = {"tr": "'", "hu": "-"}  # an ending belongs to the number's word: "2024'te", "5-ös"
_DECADES = {"en": re.compile(r"(?<!\d)(\d{2}|\d{4})'?s(?!\w)"), "de": re.compile(r"(?<!\d)(\d{2}|\d{4})er(?!\w)")}


def spoken(words: str) -> str:
    """Words that stand in a text in place of figures: a space parts them from a letter beside them."""
    return JOINT + words + JOINT


def join_groups(text: str, words: Words) -> str:
    """ "1 000 000" and "1'000" without what parts their thousands."""
    if words.groups_by_space:
        text = _SPACED_GROUPS.sub(lambda match: match[0].replace(" ", ""), text)
    return _APOSTROPHES.sub("", text)


def number_parts(token: str, group: str) -> tuple[str, str] | None:
    """The whole part and the decimals of a number; None for a row of numbers ("1.2.3")."""
    marks = [char for char in token if char in ".,"]
    parts = re.split("[.,]", token)
    if not marks:
        return token, ""
    if len(set(marks)) == 2:
        is_one_decimal = marks.count(marks[-1]) == 1 and len(set(marks[:-1])) == 1
        return ("".join(parts[:-1]), parts[-1]) if is_one_decimal else None
    is_grouped = len(parts[0]) <= 3 and parts[0] != "0" and len(parts[-1]) == 3
    if len(marks) > 1:
        return ("".join(parts), "") if is_grouped and all(2 <= len(part) <= 3 for part in parts[1:]) else None
    return ("".join(parts), "") if is_grouped and marks[0] == group else (parts[0], parts[1])


def say_number(token: str, language: str, gender: str = "") -> str:
    words = words_of(language)
    assert words is not None
    parts = number_parts(token, words.group)
    joint = "" if language in UNSPACED else " "
    if parts is None:
        point = f"{joint}{words.address['.']}{joint}"
        return point.join(say_whole(part, language) for part in re.split("[.,]", token))
    whole, decimals = parts
    said = say_whole(whole, language, gender if not decimals else "")
    if not decimals:
        return said
    point = _czech_point(whole) if language == "cs" else words.point
    said = agreed(said, language, "f") if language == "cs" else said
    return f"{said}{joint}{point}{joint}{_decimals(decimals, language, words)}"


def _czech_point(whole: str) -> str:
    return "celá" if whole in ("0", "1") else "celé" if whole in ("2", "3", "4") else "celých"


def say_whole(figures: str, language: str, gender: str = "") -> str:
    if len(figures) > MAX_DIGITS or (len(figures) > 1 and figures.startswith("0")):
        return digits(figures, language)
    return agreed(cardinal(int(figures), language), language, gender)


def agreed(said: str, language: str, gender: str) -> str:
    """A number in the gender of what is counted."""
    words = words_of(language)
    forms = words.agreement.get(gender, {}) if words else {}
    if language in _FEMININE_HUNDREDS and gender == "f":
        said = re.sub(rf"(?<=\w){_FEMININE_HUNDREDS[language]}\b(?!.*mil[lh])", "\\g<1>as", said)
    head, _, last = said.rpartition(" ")
    if language == "hu" and last.endswith("kettő") and forms:
        return said.removesuffix("kettő") + "két"
    if last not in forms or (language == "pl" and head and last == "jeden"):
        return said
    return f"{head} {forms[last]}".strip()


def form_of(counted: Counted, token: str, language: str) -> str:
    """The form of a unit that its number asks for."""
    words = words_of(language)
    assert words is not None
    forms = counted.forms
    parts = number_parts(token, words.group)
    if len(forms) == 1:
        return forms[0]
    if parts is None or parts[1]:
        is_single = language == "fr" and parts is not None and parts[0] in ("0", "1")
        return forms[3] if len(forms) > 3 else forms[0 if is_single else 1]
    value = int(parts[0]) if len(parts[0]) <= MAX_DIGITS else 0
    if language in ("ru", "pl", "cs"):
        return forms[min(_slavic_form(value, language), len(forms) - 1)]
    return forms[0] if value == 1 or (value == 0 and language in ("fr", "pt")) else forms[1]


def say_ranges(text: str, language: str, words: Words) -> str:
    """ "10-20" and "-5"."""
    before, after = ("", "") if language in UNSPACED else ("" if language == "ko" else " ", " ")
    if language == "hu":
        text = _HUNGARIAN_RANGE.sub(_hungarian_range, text)
    text = _RANGE.sub(f"{before}{words.to}{after}", text)
    return _MINUS.sub(f"{JOINT}{words.minus}{after}", text)


def _hungarian_range(match: re.Match[str]) -> str:
    vowels = re.findall("[aáoóuúeéiíöőüű]", say_number(match[1], "hu"))
    return f"{match[1]}-{'tól' if vowels[-1] in 'aáoóuú' else 'től'} "


def say_fractions(text: str, language: str, words: Words) -> str:
    """ "1/2", "2 1/2", "22/7"."""

    def say(match: re.Match[str]) -> str:
        whole, over, under = match.groups()
        fraction = words.fractions.get(f"{over}/{under}") or _fraction(over, under, language, words)
        if whole is None:
            return spoken(fraction)
        joint = {"zh": "又", "ja": "と", "ko": " "}.get(language, f" {words.signs['&']} ")
        return spoken(f"{say_whole(whole, language)}{joint}{fraction}")

    return _MIXED.sub(say, text)


def say_ordinals(text: str, language: str, words: Words) -> str:
    """ "3rd", "3º", "3-го", "3." """
    pattern = _ordinal_pattern(language)
    if pattern is not None:
        text = pattern.sub(lambda match: spoken(_ordinal(match, language)), text)
    dotted = _DOTTED_ORDINALS.get(language)
    if dotted is None:
        return text

    def say(match: re.Match[str]) -> str:
        before = _LAST_WORD.search(text, max(0, match.start() - 16), match.start())
        ending = _dotted_ending(language, before[1].lower() if before else "", match)
        return match[0] if ending is None else spoken(ordinal(int(match[1]), language, ending))

    return dotted.sub(say, text)


def say_rest(text: str, language: str, words: Words) -> str:
    """Every number that is left."""
    if language == "ko":
        text = _KOREAN_MONTHS.sub(lambda match: words.months[int(match[1]) - 1], text)
        text = _KOREAN_COUNTERS.sub(_korean_count, text)
    text = _POINT_FIRST.sub(spoken(words.point), text)
    text = _ANY_NUMBER.sub(lambda match: spoken(_say_alone(match[0], language, _gender_behind(match, language))), text)
    mark = _BEFORE_ENDINGS.get(language)
    return re.sub(rf"{JOINT}{mark}(?={LETTER})", "", text) if mark else text


def say_decades(text: str, language: str, words: Words) -> str:
    """ "1990s", "90er"."""
    pattern = _DECADES.get(language)
    return text if pattern is None else pattern.sub(lambda match: spoken(_decade(match[1], language)), text)


def _ordinal(match: re.Match[str], language: str) -> str:
    ending = match[2].lower()
    if language == "hi" and ending.startswith("व"):
        return cardinal(int(match[1]), "hi") + ending
    rest = match.string[match.end() : match.end() + 2]
    if language == "es" and ending == "º" and rest.lstrip().islower():
        ending = "er"  # "el tercer piso"
    return ordinal(int(match[1]), language, ending)


def _decimals(decimals: str, language: str, words: Words) -> str:
    if words.has_decimal_digits or len(decimals) > 3:
        return digits(decimals, language)
    zeros = len(decimals) - len(decimals.lstrip("0"))
    rest = decimals[zeros:]
    head = digits("0" * zeros, language)
    return f"{head} {cardinal(int(rest), language)}".strip() if rest else head


def _say_alone(token: str, language: str, gender: str = "") -> str:
    if len(token) == 4 and any(token.isdecimal() and int(token) in years for years in _YEARS.get(language, ())):
        return year(int(token), language)
    if len(token) >= _MIN_PLAIN_DIGITS and token.isdecimal() and len(token.rstrip("0")) > _MAX_ROUND_DIGITS:
        return digits(token, language)  # a telephone's or an account's
    return say_number(token, language, gender)


def _gender_behind(match: re.Match[str], language: str) -> str:
    """By the noun behind a number, where its last letter tells: "21 casas", "1 kilo"; Hungarian only asks if one is."""
    noun = _NEXT_WORD.match(match.string, match.end(), match.end() + 32)
    if noun is None or language not in ("es", "it", "pt", "hu") or (language != "hu" and len(noun[1]) < 3):
        return ""
    if language == "hu":
        return "m"
    ending = "a" if match[0] == "1" else "e" if language == "it" else "as"
    return "f" if noun[1].endswith(ending) and not noun[1].endswith(_MASCULINE_IN_A) else "m"


def _slavic_form(value: int, language: str) -> int:
    if value == 1 or (language == "ru" and value % 10 == 1 and value % 100 != 11):
        return 0
    few = value if language == "cs" else value % 10
    return 1 if 2 <= few <= 4 and not 12 <= value % 100 <= 14 else 2


def _fraction(over: str, under: str, language: str, words: Words) -> str:
    first, second = say_whole(over, language), say_whole(under, language)
    if language in ("zh", "ja", "ko"):
        first, second = second, first
    return f"{first}{words.over}{second}" if language in UNSPACED else f"{first} {words.over} {second}"


@lru_cache(maxsize=32)
def _ordinal_pattern(language: str) -> re.Pattern[str] | None:
    pattern = _ORDINALS.get(language)
    return re.compile(rf"(?<![\d.,]){pattern}", re.IGNORECASE) if pattern else None


def _dotted_ending(language: str, before: str, match: re.Match[str]) -> str | None:
    """None where the number is no ordinal: a sentence ends behind it. Polish and Czech go by the noun's last letter."""
    first_letter = match[2]
    if language != "de":
        noun = _NEXT_WORD.match(match.string, match.end(), match.end() + 32)
        ending = _ENDINGS_BY_NOUN.get(language, {}).get(noun[1][-1], "") if noun else ""
        return ending if first_letter.islower() else None
    if before in _DE_N - _DE_E:
        return "n"
    if before in _DE_E:
        return ""
    return "" if first_letter.islower() else None


def _korean_count(match: re.Match[str]) -> str:
    value = int(match[1])
    is_native = value >= 1 and not (match[2] == "시" and value > 12) and match[2] != "개월"
    return f"{korean_native(value) if is_native else cardinal(value, 'ko')} {match[2]}"


def _decade(figures: str, language: str) -> str:
    said = _say_alone(figures, language)
    if language == "de":
        return said + "er"
    return said[:-1] + "ies" if said.endswith("y") else said + "s"
