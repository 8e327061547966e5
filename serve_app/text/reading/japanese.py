"""Japanese counters whose number changes its sound, as "四時" is "yoji".

In Han characters where the front-end reads those rightly, else in katakana: it takes the "は" of hiragana for "wa".
"""

from serve_app.text.reading.numerals import cardinal

_MONTHS = {4: "シガツ", 7: "シチガツ", 9: "クガツ"}
_HOURS = {4: "ヨジ", 7: "シチジ", 9: "クジ"}  # by the last digit
_DAYS = {2: "フツカ", 4: "ヨッカ", 7: "ナノカ", 14: "十ヨッカ", 24: "二十ヨッカ"}
_DAY_ENDS = {7: "シチニチ", 9: "クニチ"}  # by the last digit, from the eleventh on
_PLAIN_MINUTES = (2, 5, 9)  # by the last digit
# Counter → how it sounds, after 3, and after 1, 6, 8, 10. In hiragana what it would take for an English phone.
_COUNTERS = {
    "分": ("フン", "プン", "プン"),
    "本": ("ほん", "ボン", "ポン"),
    "匹": ("ヒキ", "ビキ", "ピキ"),
}
_ONES = ("", "イッ", "ニ", "サン", "ヨン", "ゴ", "ロッ", "ナナ", "ハッ", "キュウ")
COUNTERS = "".join(_COUNTERS)


def _tens(value: int) -> str:
    return cardinal(value // 10 * 10, "ja") if value >= 10 else ""


def month(value: int) -> str:
    return _MONTHS.get(value, cardinal(value, "ja") + "月")


def day(value: int) -> str:
    if value in _DAYS:
        return _DAYS[value]
    if value > 10 and value % 10 in _DAY_ENDS:
        return _tens(value) + _DAY_ENDS[value % 10]
    return cardinal(value, "ja") + "日"


def hour(value: int) -> str:
    """With its 時."""
    ones = value % 10
    return _tens(value) + _HOURS[ones] if ones in _HOURS else cardinal(value, "ja") + "時"


def minute(value: int) -> str:
    return count(value, "分")


def count(value: int, counter: str) -> str:
    """1 to 99 of a counter, which is part of the result: "サンボン" for three and 本."""
    plain, after_three, short = _COUNTERS[counter]
    tens, ones = divmod(value, 10)
    if value == 0:
        return cardinal(0, "ja") + plain
    if ones == 0:
        return ("" if tens == 1 else cardinal(tens, "ja")) + "ジュッ" + short
    if counter == "分" and ones in _PLAIN_MINUTES:
        return cardinal(value, "ja") + counter
    is_voiced = ones == 3 or (ones == 4 and counter == "分")
    return _tens(value) + _ONES[ones] + (short if ones in (1, 6, 8) else after_three if is_voiced else plain)
