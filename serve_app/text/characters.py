"""What becomes of single characters before text is spoken: kept, spelled otherwise, or left out as unreadable.

Knows characters and languages, no sentences; a rule that needs more than one character is in `normalize`.
"""

import unicodedata
from functools import lru_cache

from anyascii import anyascii

from serve_app.text.languages import find_language, primary_subtag

# A joint asks for a space if it ends up between two letters or digits ("2½" is not "21/2"), and is dropped elsewhere.
# A break is the end of a paragraph. Both are control characters, which no text keeps, so they cannot be in the input.
JOINT = "\x1f"
BREAK = "\x1e"

_ASCII_PUNCTUATION = frozenset(".,;:!?'\"()-/&@%#$£°")
_KEPT = frozenset("¿¡؟،؛।€¥₩₹₺₽ªº") | _ASCII_PUNCTUATION

_UNIFIED = {
    **dict.fromkeys("“”„‟«»″〝〞〟＂「」『』《》〈〉﹁﹂﹃﹄｢｣", '"'),
    **dict.fromkeys("‘’‚‛‹›′`´＇ʼ", "'"),
    **dict.fromkeys("‐‑‒–−﹣－", "-"),
    **dict.fromkeys("—―⸺⸻", " - "),
    **dict.fromkeys("…⋯︙", "..."),
    "‥": "..",
    **dict.fromkeys("[{【〔〖〘〚［｛", "("),
    **dict.fromkeys("]}】〕〗〙〛］｝", ")"),
    **dict.fromkeys("•‣◦⁃∙·‧●○◆◇■□▪▫►▶", " "),
    **dict.fromkeys("～〜∼", "~"),
    **dict.fromkeys("⁄∕", "/"),
    "￦": "₩",
    "￥": "¥",
    "۔": ".",
    "॥": "।",
    "٪": "%",
    "٫": ",",
    "٬": "",
    "ـ": "",  # the stretch of a written Arabic line
    "\u034f": "",  # combining grapheme joiner
    **dict.fromkeys("\u115f\u1160\u3164\uffa0", " "),  # Hangul fillers: letters by category, but empty
}

_EAST_ASIAN = dict(zip("。｡、､！？，；：", (". ", ". ", ", ", ", ", "! ", "? ", ", ", "; ", ": "), strict=True))
_KEPT_EAST_ASIAN = {mark: mark for mark in _EAST_ASIAN} | {"｡": "。", "､": "、"}

# Spellings of name characters that the Japanese front-end's dictionary lacks, and the ones it reads alike.
_JAPANESE_VARIANTS = dict(zip("髙﨑𠮷德濵邊閒瀨冨", "高崎吉徳浜辺間瀬富", strict=True))
_JAPANESE = {"℃": "度", "°": "度", "・": "・", "･": "・", "〆": "しめ", **_JAPANESE_VARIANTS}

# Words for signs that mean the same with and without a number. Money is read in `reading`.
_SIGNS = "№+="
_SIGN_WORDS = {
    "en": "number plus equals",
    "es": "número más igual",
    "fr": "numéro plus égale",
    "de": "Nummer plus gleich",
    "it": "numero più uguale",
    "pt": "número mais igual",
    "pl": "numer plus równa",
    "tr": "numara artı eşittir",
    "ru": "номер плюс равно",
    "nl": "nummer plus is",
    "cs": "číslo plus rovná",
    "ar": "رقم زائد يساوي",
    "zh": "编号 加 等于",
    "hu": "szám plusz egyenlő",
    "ko": "번호 더하기 는",
    "ja": "番号 プラス イコール",
    "hi": "नंबर प्लस बराबर",
}
_LATIN_LETTERS = frozenset("áàâäãåąæçćčďéèêëęěíìîïıłñńňóòôöőõøœřśšşťúùûüűůýÿźżžğß")
_SPELLED_OUT_TAGS = ("<super>", "<sub>", "<fraction>", "<circle>", "<square>")
_SHAPE_TAGS = (
    "<wide>",
    "<font>",
    "<noBreak>",
    "<initial>",
    "<medial>",
    "<final>",
    "<isolated>",
    "<vertical>",
    "<small>",
)


@lru_cache(maxsize=64)
def sign_words(primary: str) -> dict[str, str]:
    """Signs that a language's front-end would drop, and the word to say instead. Takes a primary subtag."""
    return dict(zip(_SIGNS, _SIGN_WORDS.get(primary, "").split(), strict=False))


@lru_cache(maxsize=16_384)
def replacement(char: str, language: str) -> str | None:
    """What one character becomes in the text of a language; None where it cannot be read aloud.

    The result may hold JOINT. Kept, because `normalize` still needs them: line feeds, BREAK, "~" and signs with a word.
    """
    primary = primary_subtag(language)
    if char in ("\n", BREAK, "~") or char in sign_words(primary) or (char in _KEPT and (primary, char) != ("ja", "°")):
        return char
    special = _language_table(primary).get(char, _UNIFIED.get(char))
    if special is not None:
        return special
    category = unicodedata.category(char)
    if char.isspace() or category in ("Cc", "Zs", "Zl", "Zp"):
        return " "
    if category == "Cf" or "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef":
        return ""  # zero-width, direction and variation marks are how text looks, not what it says
    if category == "Nd":
        return str(unicodedata.decimal(char))
    tag, _, _ = unicodedata.decomposition(char).partition(" ")
    if tag.startswith("<"):
        return _decomposed(char, tag, category, language)
    if category[0] in "LMN" and category != "Me":
        return spelled(char, language)
    return _of_symbol(char, category)


@lru_cache(maxsize=64)
def _language_table(primary: str) -> dict[str, str]:
    if primary == "ja":
        return _KEPT_EAST_ASIAN | _JAPANESE
    if primary == "zh":
        return _KEPT_EAST_ASIAN | {"・": " ", "･": " "}
    return _EAST_ASIAN | {"・": " ", "･": " "}


def spelled(char: str, language: str) -> str:
    """A letter, mark or number as the language's readers can spell it: in Latin letters where it is none of its own."""
    if char.isascii():
        return char
    name = unicodedata.name(char, "").split(" ")[0].split("-")[0]
    entry = find_language(language)
    if entry is None or name in ("COMBINING", "") or (name != "LATIN" and name in entry.scripts) or char in "ªº":
        return char
    if name == "LATIN" and _is_usual_latin(char, primary_subtag(language)):
        return char
    latin = anyascii(char)
    return latin if latin.isalnum() else char


def _is_usual_latin(char: str, primary: str) -> bool:
    """Whether the vocabulary knows it; English, whose models may read phonemes, drops only accents by itself."""
    if primary == "ja":
        return False  # the front-end reads none but ASCII's
    if primary == "en":
        return unicodedata.normalize("NFD", char)[0].isascii()
    return char.lower() in _LATIN_LETTERS or char in "İ"


def _of_symbol(char: str, category: str) -> str | None:
    if category == "Me":  # a ring or keycap round the character before it
        return ""
    if category[0] == "P" and char not in "*_\\§¶†‡‰‱※":
        return " "
    return None


def _decomposed(char: str, tag: str, category: str, language: str) -> str | None:
    """A character that Unicode calls a form of others. NFKC alone would turn "2½" into "21⁄2" and "10³" into "103"."""
    if tag == "<narrow>" or (tag == "<compat>" and "\u3131" <= char <= "\u318e"):
        parts = unicodedata.decomposition(char).split()[1:] if tag == "<narrow>" else []
        return "".join(chr(int(part, 16)) for part in parts) or char  # one step only: jamo stay letters of their own
    if char in "™℠" or (category == "Sk"):
        return None
    if category[0] == "L" and tag == "<compat>" and not _is_ligature(char):
        return char
    plain = unicodedata.normalize("NFKC", char)
    if tag in _SHAPE_TAGS:
        return _respelled(plain.lstrip(" "), language)
    if tag in _SPELLED_OUT_TAGS:
        single_step = [chr(int(part, 16)) for part in unicodedata.decomposition(char).split()[1:]]
        spelled = _respelled("".join(single_step), language)
        return None if spelled is None else JOINT + spelled + JOINT
    if category in ("No", "So"):
        spelled = _respelled(plain, language)
        return None if spelled is None else JOINT + spelled + JOINT
    return _respelled(plain, language)


def _respelled(spelling: str, language: str) -> str | None:
    parts = [replacement(part, language) for part in spelling]
    readable = [part for part in parts if part is not None]
    return "".join(readable) if len(readable) == len(parts) else None


def _is_ligature(char: str) -> bool:
    return "\ufb00" <= char <= "\ufb4f" or char in "ĲĳŉǄǅǆǇǈǉǊǋǌǱǲǳ"
