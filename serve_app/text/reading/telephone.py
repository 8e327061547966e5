"""Groups of figures that are no amount → digit by digit: telephone and card numbers."""

import re
from functools import lru_cache

from serve_app.text.characters import sign_words
from serve_app.text.reading.figures import UNSPACED, spoken
from serve_app.text.reading.numerals import digits
from serve_app.text.reading.words import Words

_MIN_DIGITS, _MAX_DIGITS = 7, 20
_YEARS = range(1_000, 2_200)


def say_telephones(text: str, language: str, words: Words) -> str:
    def say(match: re.Match[str]) -> str:
        groups = re.findall(r"\d+", match["groups"])
        plus = (match["plus"] or "").strip()
        if not _is_telephone(groups, match["groups"], bool(plus), words):
            return match[0]
        joint = "、" if language in UNSPACED else "، " if language == "ar" else ", "
        said = joint.join(digits(group, language) for group in groups)
        return spoken(f"{plus} {said}".strip())

    return _pattern(language).sub(say, text)


@lru_cache(maxsize=32)
def _pattern(language: str) -> re.Pattern[str]:
    plus = re.escape(sign_words(language).get("+", "+"))
    return re.compile(
        rf"(?<![\d.,:/$€£¥₩₹-])(?P<plus>(?:\+|(?<!\w){plus}) ?)?"
        rf"(?P<groups>\(?\d{{1,8}}\)?(?:(?: ?[/-] ?|[ .])\(?\d{{1,8}}\)?){{1,7}})"
        r"(?!\d|[%:/]|[.,-]\d)"
    )


def _is_telephone(groups: list[str], written: str, has_plus: bool, words: Words) -> bool:
    num_digits = sum(map(len, groups))
    if not _MIN_DIGITS <= num_digits <= _MAX_DIGITS:
        return False
    if has_plus or groups[0].startswith("0") or written.startswith("("):
        return True
    if "." in written or "/" in written:
        return False
    if all(len(group) == 4 and int(group) in _YEARS for group in groups):
        return False
    if "-" in written:
        return " " not in written
    is_amount = words.groups_by_space and all(len(group) == 3 for group in groups[1:])
    return len(groups) >= 3 and num_digits >= 9 and not is_amount
