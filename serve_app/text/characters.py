"""What becomes of single characters before text is spoken: kept, spelled otherwise, or left out as unreadable.

Knows characters and languages, no sentences; a rule that needs more than one character is in `normalize`.
"""

import unicodedata
from functools import lru_cache

from serve_app.text.languages import primary_subtag

# A joint asks for a space if it ends up between two letters or digits ("2½" is not "21/2"), and is dropped elsewhere.
# A break is the end of a paragraph. Both are control characters, which no text keeps, so they cannot be in the input.
JOINT = "\x1f"
BREAK = "\x1e"

_ASCII_PUNCTUATION = frozenset(".,;:!?'\"()-/&@%#$£°")
_KEPT = frozenset("¿¡؟،؛।€ªº") | _ASCII_PUNCTUATION

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

# Words for signs that coqui's cleaners leave unread: № € ¥ ₩ ₹ + = and, where they misread them, $ £.
_SIGNS = "№€¥₩₹+=$£"
_SIGN_WORDS = {
    "en": "number euro yen won rupees plus equals",
    "es": "número euros yenes wones rupias más igual",
    "fr": "numéro euros yens wons roupies plus égale",
    "de": "Nummer Euro Yen Won Rupien plus gleich",
    "it": "numero euro yen won rupie più uguale",
    "pt": "número euros ienes wons rupias mais igual",
    "pl": "numer euro jenów wonów rupii plus równa",
    "tr": "numara avro yen won rupi artı eşittir",
    "ru": "номер евро иен вон рупий плюс равно",
    "nl": "nummer euro yen won roepie plus is",
    "cs": "číslo euro jenů wonů rupií plus rovná",
    "ar": "رقم يورو ين وون روبية زائد يساوي دولار جنيه",
    "zh": "编号 欧元 元 韩元 卢比 加 等于 美元 英镑",
    "hu": "szám euró jen von rúpia plusz egyenlő",
    "ko": "번호 유로 엔 원 루피 더하기 는 달러 파운드",
    "ja": "番号 ユーロ 円 ウォン ルピー プラス イコール ドル ポンド",
    "hi": "नंबर यूरो येन वॉन रुपये प्लस बराबर डॉलर पाउंड",
}
_JAPANESE_SIGN_WORDS = {"%": "パーセント", "&": "アンド", "@": "アットマーク", "#": "シャープ"}

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
    """Signs that a language's front-end would drop or misread, and the word to say instead. Takes a primary subtag."""
    words = dict(zip(_SIGNS, _SIGN_WORDS.get(primary, "").split(), strict=False))
    return words | _JAPANESE_SIGN_WORDS if primary == "ja" else words


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
    return char if category[0] in "LMN" and category != "Me" else _of_symbol(char, category)


@lru_cache(maxsize=64)
def _language_table(primary: str) -> dict[str, str]:
    if primary == "ja":
        return _KEPT_EAST_ASIAN | _JAPANESE
    if primary == "zh":
        return _KEPT_EAST_ASIAN | {"・": " ", "･": " "}
    return _EAST_ASIAN | {"・": " ", "･": " "}


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
