"""The languages of XTTS v2: codes, names, and a first guess of how long a text takes to say.

Knows no tokenizer and no checkpoint: which languages a checkpoint speaks is an argument.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from serve_app.errors import UnsupportedLanguage

CODES_PER_S = 22_050 / 1024  # one code is 46.4 ms of speech
DEFAULT_LANGUAGE = "ko"  # the default of the wire format existing clients use


@dataclass(frozen=True)
class Language:
    """One language. `coqui_char_limit` is from TTS.tts.layers.xtts.tokenizer (`char_limits`), for reference.

    `letters_per_s` is how many characters of the language's alphabet a slow reader says in a second, spaces between
    words counted where the language writes them. Estimates, not measurements: common figures for reading aloud
    (about 150 English words of six characters a minute; five to eight syllables a second across languages) less
    roughly a fifth, so that a guess is rather too long than too short.
    """

    code: str
    english_name: str
    coqui_char_limit: int
    letters_per_s: float
    scripts: tuple[str, ...] = ("LATIN",)  # first words of its letters' Unicode names

    def __post_init__(self) -> None:
        assert self.letters_per_s > 0 and self.coqui_char_limit > 0


_JAPANESE = ("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "LATIN")

LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language("en", "English", 250, 13.0),
        Language("es", "Spanish", 239, 13.0),
        Language("fr", "French", 273, 13.5),
        Language("de", "German", 253, 13.0),
        Language("it", "Italian", 213, 12.5),
        Language("pt", "Portuguese", 203, 12.0),
        Language("pl", "Polish", 224, 12.0),
        Language("tr", "Turkish", 226, 12.0),
        Language("ru", "Russian", 182, 11.5, ("CYRILLIC", "LATIN")),
        Language("nl", "Dutch", 251, 13.0),
        Language("cs", "Czech", 186, 11.5),
        Language("ar", "Arabic", 166, 9.0, ("ARABIC", "LATIN")),
        Language("zh-cn", "Chinese", 82, 4.0, ("CJK", "IDEOGRAPHIC", "LATIN")),
        Language("hu", "Hungarian", 224, 12.0),
        Language("ko", "Korean", 95, 4.8, ("HANGUL", "LATIN")),
        Language("ja", "Japanese", 71, 3.2, _JAPANESE),
        Language("hi", "Hindi", 150, 9.0, ("DEVANAGARI", "LATIN")),
    )
}

# Seconds of one character whatever the language around it. Same standing as `letters_per_s`: estimates, rather long.
_LATIN_LETTER_S = 1 / 12.0
_HAN_S = 1 / 4.0
_KANA_S = 1 / 6.0
_HANGUL_S = 1 / 4.8
_DIGIT_S = 0.45  # read out as a word or more
_SIGN_S = 0.5  # "%" is "percent"
_SENTENCE_END_S = 0.4  # the pause after it
_CLAUSE_END_S = 0.2
_OVERHEAD_S = 0.35  # silence before the first and after the last sound

_SENTENCE_MARKS = frozenset(".!?…。！？؟۔।")
_CLAUSE_MARKS = frozenset(",;:、，；：،؛-()")
_SIGNS = frozenset("&@%#$£€°+=")


def resolve_language(requested: str, supported: Sequence[str]) -> str:
    """The checkpoint's code for what a caller wrote: "EN", "en-US", "zh", "zh_TW" and "cmn" all find theirs.

    Raises `UnsupportedLanguage` (field "language") with the list of what would do.
    """
    tag = requested.strip().lower().replace("_", "-").split(".")[0]
    primary = primary_subtag(tag)
    by_tag = {code.lower(): code for code in supported}
    if tag in by_tag:
        return by_tag[tag]
    if primary in by_tag:
        return by_tag[primary]
    for code in supported:
        if primary and primary_subtag(code) == primary:
            return code
    shown = requested if len(requested) <= 20 else requested[:20] + "…"
    raise UnsupportedLanguage(
        f"language {shown!r} is not spoken by this model; use one of: {', '.join(supported)}", field="language"
    )


def default_language(supported: Sequence[str]) -> str:
    """The language of a request that names none: Korean, or the model's first language."""
    assert supported, "a model speaks at least one language"
    return DEFAULT_LANGUAGE if DEFAULT_LANGUAGE in supported else supported[0]


def primary_subtag(code: str) -> str:
    """The language without region or script: "zh-cn" → "zh". Mandarin's own tag, "cmn", counts as Chinese."""
    primary = code.lower().replace("_", "-").split("-")[0]
    return "zh" if primary == "cmn" else primary


def find_language(code: str) -> Language | None:
    """The table's entry for a checkpoint's code; None for a language that XTTS v2 itself does not have."""
    if code in LANGUAGES:
        return LANGUAGES[code]
    return next((entry for entry in LANGUAGES.values() if primary_subtag(entry.code) == primary_subtag(code)), None)


def expected_codes(text: str, language: str) -> float:
    """How many codes the speech of one sentence will take, the silence at its ends included.

    A prior from speaking rates (see `Language.letters_per_s`), rather too long than too short: for choosing where to
    split, where a checkpoint has no better figure. Adds up over pieces but for the overhead, which each piece has.
    """
    seconds = sum(count * _char_seconds(char, language) for char, count in Counter(text).items())
    return (seconds + _OVERHEAD_S) * CODES_PER_S


def letter_codes(char: str, language: str) -> float:
    """How many codes a letter or digit adds to the speech of its sentence."""
    return _char_seconds(char, language) * CODES_PER_S


@lru_cache(maxsize=16_384)
def _char_seconds(char: str, language: str) -> float:
    if char.isspace():
        return 0.0 if primary_subtag(language) in ("zh", "ja", "ko") else _letter_seconds(language)
    if char in _SENTENCE_MARKS:
        return _SENTENCE_END_S
    if char in _CLAUSE_MARKS:
        return _CLAUSE_END_S
    if char in _SIGNS:
        return _SIGN_S
    category = unicodedata.category(char)
    if category[0] == "N":
        return _DIGIT_S
    if category[0] not in "LM":
        return 0.0
    return _script_seconds(unicodedata.name(char, "").split(" ")[0].split("-")[0], language)


def _script_seconds(script: str, language: str) -> float:
    if script in ("CJK", "IDEOGRAPHIC"):
        return 1 / LANGUAGES["ja"].letters_per_s if primary_subtag(language) == "ja" else _HAN_S
    if script in ("HIRAGANA", "KATAKANA", "HALFWIDTH"):
        return _KANA_S
    if script == "HANGUL":
        return _HANGUL_S
    return _letter_seconds(language)


def _letter_seconds(language: str) -> float:
    """Seconds of an alphabet's letter; where the language writes no alphabet, of a Latin one inside its text."""
    entry = find_language(language)
    if entry is None or entry.letters_per_s < 6.0:
        return _LATIN_LETTER_S
    return 1 / entry.letters_per_s
