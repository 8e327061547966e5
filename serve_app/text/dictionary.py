"""A service's own pronunciations: a file of words and how to write them so that they are said right, by language."""

import json
from collections.abc import Mapping
from pathlib import Path

from serve_app.errors import SettingsError
from serve_app.text.languages import primary_subtag

MAX_WORDS = 5_000
MAX_WORD_CHARS, MAX_SPELLING_CHARS = 100, 400
EVERY_LANGUAGE = "*"


class Dictionary:
    """What `respell` takes, for each language. Empty without words."""

    def __init__(self, words: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """`words`: a language's code, or `*` for all, → word → spelling."""
        self._words = {primary_subtag(code): tuple(found.items()) for code, found in (words or {}).items()}

    @classmethod
    def read(cls, path: Path) -> "Dictionary":
        """A JSON file: `{"en": {"SQL": "sequel"}, "*": {…}}`. Raises SettingsError that says what is wrong with it."""
        try:
            found = json.loads(path.expanduser().read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"Cannot read the pronunciations in {path}: {error.strerror}.") from None
        except ValueError as error:
            raise SettingsError(f"The pronunciations in {path} are not JSON: {error}.") from None
        problem = _problem(found)
        if problem:
            raise SettingsError(f'The pronunciations in {path}: {problem}; write {{"en": {{"SQL": "sequel"}}}}.')
        return cls(found)

    def of(self, language: str) -> tuple[tuple[str, str], ...]:
        """Words and spellings of a language, those of all languages first: what comes later wins."""
        return self._words.get(EVERY_LANGUAGE, ()) + self._words.get(primary_subtag(language), ())


def _problem(found: object) -> str:
    if not isinstance(found, dict) or not all(isinstance(words, dict) for words in found.values()):
        return "they are no object of languages with an object of words each"
    pairs = [pair for words in found.values() for pair in words.items()]
    if len(pairs) > MAX_WORDS:
        return f"there are {len(pairs)} words, at most {MAX_WORDS} are taken"
    for word, spelling in pairs:
        if not isinstance(spelling, str) or not word.strip():
            return f"{word!r} has no spelling"
        if len(word) > MAX_WORD_CHARS or len(spelling) > MAX_SPELLING_CHARS:
            return f"{word[:40]!r} or its spelling is longer than {MAX_WORD_CHARS} or {MAX_SPELLING_CHARS} characters"
    return ""
