"""Which language a text is in, among those a model speaks: by its script, and between Latin ones by its letters.

Letters are judged by langid's model (Lui and Baldwin 2012) in its copy for numpy, py3langid.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from serve_app.text.languages import primary_subtag

MAX_CHARS = 2_000  # looked at: more tell nothing new
MIN_PROBABILITY = 0.25  # of the likeliest: below it a guess says less than the default

# First words of letters' Unicode names → languages that write them, the more telling first.
_SCRIPTS = {"HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "ARABIC": "ar", "DEVANAGARI": "hi", "CYRILLIC": "ru"}
_MIN_SHARE = 0.2  # of the letters: kana in Japanese, Hangul beside Latin names


def detect_language(text: str, supported: Sequence[str], default: str) -> str:
    """One of `supported` (a checkpoint's codes); `default` where the text says too little."""
    text = text[:MAX_CHARS]
    by_primary = {primary_subtag(code): code for code in reversed(supported)}
    scripts = Counter(_script(char) for char in text if char.isalpha())
    num_letters = scripts.total()
    if not num_letters:
        return default
    shares: Counter[str] = Counter()
    for script, count in scripts.items():
        if (primary := _SCRIPTS.get(script)) in by_primary:
            shares[primary] += count
    for primary, count in shares.most_common():
        if count >= _MIN_SHARE * num_letters:
            return by_primary[primary]
    if scripts["CJK"] >= _MIN_SHARE * num_letters:
        return by_primary.get("zh", by_primary.get("ja", default))
    return _by_letters(text, by_primary, default)


def _script(char: str) -> str:
    return unicodedata.name(char, "").split(" ")[0].split("-")[0]


def _by_letters(text: str, by_primary: dict[str, str], default: str) -> str:
    primaries = tuple(sorted(set(by_primary) - {"zh", *_SCRIPTS.values()}))
    if not primaries:
        return default
    if len(primaries) == 1:
        return by_primary[primaries[0]]
    # Letters of lines in capitals look like another language's.
    primary, probability = _identifier(primaries).classify(text.lower())
    return by_primary[primary] if probability >= MIN_PROBABILITY else default


@lru_cache(maxsize=8)
def _identifier(primaries: tuple[str, ...]) -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # here: its model takes a while to read

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(primaries))
    return identifier
