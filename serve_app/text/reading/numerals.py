"""Whole numbers → words: cardinals, ordinals, years, digit by digit. Knows no text around them.

num2words spells what it spells rightly; Chinese and Hindi, which it lacks, and what it gets wrong are here.
"""

import re
from functools import lru_cache

from num2words import num2words

from serve_app.text.reading.hindi import hindi_cardinal, hindi_ordinal
from serve_app.text.reading.slavic import czech_ordinal, polish_gender, polish_genitive, russian_ordinal

MAX_DIGITS = 15  # longer numbers are read digit by digit

_ZH_DIGITS = "零一二三四五六七八九"
_NUM2WORDS = {"pt": "pt_BR"}
_WITHOUT_ZEROTH = ("es", "pt", "pl")  # num2words fails or says nothing
_TURKISH = re.compile(
    "sıfır|birinci|bir|ikinci|iki|üçüncü|üç|dördüncü|dört|beşinci|beş|altıncı|altı|yedinci|yedi|sekizinci|sekiz|"
    "dokuzuncu|dokuz|onuncu|on|yirminci|yirmi|otuzuncu|otuz|kırkıncı|kırk|ellinci|elli|altmışıncı|altmış|yetmişinci|"
    "yetmiş|sekseninci|seksen|doksanıncı|doksan|yüzüncü|yüz|bininci|bin|milyonuncu|milyon|milyarıncı|milyar|"
    "trilyonuncu|trilyon"
)
_ARABIC_DUALS = ("مئتا", "ألفا", "مليونا", "مليارا", "تريليونا")  # short forms, right only before a noun
_ARABIC_ORDINALS = ["الأول", "الثاني", "الثالث", "الرابع", "الخامس", "السادس", "السابع", "الثامن", "التاسع", "العاشر"]
_KOREAN_UNITS = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
_KOREAN_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")


@lru_cache(maxsize=8_192)
def cardinal(value: int, language: str) -> str:
    """`language` is a primary subtag; `value` has at most MAX_DIGITS digits."""
    if language == "zh":
        return _chinese(value)
    if language == "hi":
        return hindi_cardinal(value)
    if language == "ja" and value == 0:
        return "ゼロ"
    words = str(num2words(value, lang=_NUM2WORDS.get(language, language)))
    return _mended(words.replace(",", ""), language)


@lru_cache(maxsize=4_096)
def ordinal(value: int, language: str, ending: str = "") -> str:
    """`ending` is how the text inflects it: "ª", "й", "n" …; a language takes what it knows."""
    if value == 0 and language in _WITHOUT_ZEROTH:
        return cardinal(0, language)
    if language == "zh":
        return "第" + _chinese(value)
    if language == "ja":
        return cardinal(value, "ja") + "番目"
    if language == "hi":
        return hindi_ordinal(value)
    if language == "ko":
        return "첫 번째" if value == 1 else f"{korean_native(value)} 번째"
    if language == "cs":
        return czech_ordinal(value, ending)
    if language == "ar":
        return _ARABIC_ORDINALS[value - 1] if 1 <= value <= 10 else f"رقم {cardinal(value, 'ar')}"
    if language == "ru":
        return russian_ordinal(value, ending)
    words = _mended(str(num2words(value, lang=_NUM2WORDS.get(language, language), ordinal=True)), language)
    return _inflected(words.replace(",", ""), language, ending)


@lru_cache(maxsize=2_048)
def year(value: int, language: str) -> str:
    """As a date says it."""
    if language == "en" and (1_100 <= value < 2_000 or 2_010 <= value < 2_100):
        return str(num2words(value, lang="en", to="year")).replace(" oh-", " oh ")
    if language == "de" and 1_100 <= value < 2_000:
        return str(num2words(value, lang="de", to="year"))
    if language == "nl" and 1_100 <= value < 2_000:
        return (
            str(num2words(value, lang="nl", to="year")).replace(" honderd ", "honderd").replace(" honderd", "honderd")
        )
    if language == "zh":
        return digits(str(value), "zh")
    if language == "ru":
        return russian_ordinal(value, "го")
    if language == "pl":
        return polish_genitive(value)
    return cardinal(value, language)


def day(value: int, language: str) -> str:
    """A day of the month, in the form that a date asks for."""
    if language in ("en", "de"):
        return ordinal(value, language, "r")
    if language == "ru":
        return russian_ordinal(value, "го")
    if language == "cs":
        return czech_ordinal(value, "ého")
    if language == "pl":
        return polish_genitive(value)
    if value == 1 and language in ("fr", "it", "pt", "es"):
        return ordinal(1, language)
    if language == "hu":
        return "elseje" if value == 1 else _hungarian_day(value)
    return cardinal(value, language)


def digits(text: str, language: str) -> str:
    """Each digit by itself."""
    joint = "" if language in ("zh", "ja") else " "
    return joint.join(cardinal(int(char), language) for char in text)


def korean_native(value: int) -> str:
    """As counters of things ask for, 1 to 99; beyond them Chinese numbers are usual."""
    if not 1 <= value <= 99:
        return cardinal(value, "ko")
    return "스무" if value == 20 else _KOREAN_TENS[value // 10] + _KOREAN_UNITS[value % 10]


def _mended(words: str, language: str) -> str:
    if language == "es":
        return re.sub(r"\buno (?=mil|bill)", "un ", words.replace("veintiuno mil", "veintiún mil"))
    if language == "it":
        return words.replace(" e ", " ")
    if language == "tr":
        return " ".join(_TURKISH.findall(words))
    if language == "ru":
        return words.removeprefix("одна ") if words.startswith("одна тысяча") else words
    if language == "cs":
        return re.sub(
            r"(tři|čtyři)(?=sta\b)|(pět|šest|sedm|osm|devět)(?=set\b)", r"\g<0> ", words.replace("dvěstě", "dvě stě")
        )
    if language == "ar":
        return (words + "ن" if words.endswith(_ARABIC_DUALS) else words).replace(" و ", " و")
    return words


def _inflected(words: str, language: str, ending: str) -> str:
    if language == "pl":
        return polish_gender(words, ending)
    if language == "de":
        return words + {"n": "n", "r": "r", "s": "s"}.get(ending, "")
    if language in ("es", "it", "pt") and ending in ("ª", "a", "as"):
        return re.sub(r"o\b", "a", words)
    if language == "es" and ending == "er":
        return re.sub(r"(primer|tercer)o$", r"\1", words)
    if language == "fr" and ending in ("re", "ère", "ere"):
        return "première" if words == "premier" else words
    return words


def _hungarian_day(value: int) -> str:
    words = ordinal(value, "hu")
    return words + ("a" if re.search("[ao]dik$", words) else "e")


def _chinese(value: int) -> str:
    if value < 10:
        return _ZH_DIGITS[value]
    for size, name in ((10**12, "万亿"), (10**8, "亿"), (10**4, "万")):
        if value >= size:
            return _chinese_joined(value, size, name)
    for size, name in ((1_000, "千"), (100, "百")):
        if value >= size:
            return _chinese_joined(value, size, name)
    tens, ones = divmod(value, 10)
    return ("" if tens == 1 else _ZH_DIGITS[tens]) + "十" + (_ZH_DIGITS[ones] if ones else "")


def _chinese_joined(value: int, size: int, name: str) -> str:
    high, low = divmod(value, size)
    head = _chinese(high) + name
    if low == 0:
        return head
    rest = _chinese(low)
    rest = "一" + rest if rest.startswith("十") else rest
    return head + ("零" if low < size // 10 else "") + rest
