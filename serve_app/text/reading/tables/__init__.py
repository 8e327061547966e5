"""One small table for each language, found by its primary subtag."""

from functools import lru_cache

from serve_app.text.reading.tables import ar, cs, de, en, es, fr, hi, hu, it, ja, ko, nl, pl, pt, ru, tr, zh
from serve_app.text.reading.words import Words

_MODULES = (ar, cs, de, en, es, fr, hi, hu, it, ja, ko, nl, pl, pt, ru, tr, zh)


@lru_cache(maxsize=1)
def _tables() -> dict[str, Words]:
    return {module.__name__.rpartition(".")[2]: module.WORDS for module in _MODULES}


def words_of(primary: str) -> Words | None:
    """None for a language that has no table: its figures are left to the checkpoint's cleaners."""
    return _tables().get(primary)
