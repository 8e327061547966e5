"""A user's pronunciations: words of a text replaced by the spelling that makes a model say them right.

Linear in the text: all words are one pattern, a trie, so that none is looked for by itself.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

# A letter or digit of a script that puts spaces between words: beside one, a word of such letters does not end.
_SPACED = r"[^\W_\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_IS_SPACED = re.compile(_SPACED)
_END = ""  # the key of a trie's node at which a word ends


def respell(text: str, pronunciations: Sequence[tuple[str, str]]) -> str:
    """Each word, where it stands alone and in any case, becomes its spelling; the longer one where two begin alike."""
    if not pronunciations:
        return text
    pattern, spellings = _compiled(tuple(pronunciations))
    if not spellings:
        return text
    return pattern.sub(lambda match: spellings.get(_key(match[0]), match[0]), _nfc(text))


@lru_cache(maxsize=32)
def _compiled(pronunciations: tuple[tuple[str, str], ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    spellings = {_key(word): spelling for word, spelling in pronunciations if _key(word)}
    spaced = [word for word in spellings if _IS_SPACED.match(word[0])]
    others = [word for word in spellings if not _IS_SPACED.match(word[0])]
    patterns = [f"(?<!{_SPACED}){_pattern(_trie(spaced))}"] if spaced else []
    patterns += [_pattern(_trie(others))] if others else []
    return re.compile("|".join(patterns)), spellings


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _key(word: str) -> str:
    """Lower, not folded: the pattern ignores case letter by letter."""
    return " ".join(_nfc(word).lower().split())


def _trie(words: Sequence[str]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for word in words:
        node = root
        for char in word:
            node = node.setdefault(char, {})
        node[_END] = {}
    return root


def _pattern(node: dict[str, Any], last: str = "") -> str:
    branches = [
        (r"\s+" if char == " " else f"(?i:{re.escape(char)})") + _pattern(rest, char)
        for char, rest in node.items()
        if char != _END
    ]
    if _END in node:  # the shortest, so the last to be tried
        branches.append(f"(?!{_SPACED})" if _IS_SPACED.match(last) else "")
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
