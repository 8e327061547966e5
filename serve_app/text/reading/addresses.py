"""Web and mail addresses in a text → words. Reads the text as it was sent: later stages drop "_" and "~"."""

import re
from functools import lru_cache

from serve_app.text.reading.tables import words_of

_MAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9_](?:[\w.+-]{0,62}\w)?@\w[\w-]{0,62}(?:\.\w[\w-]{0,62}){1,5}", re.ASCII)
_WEB = re.compile(
    r"(?<![\w.@-])(?:(?P<scheme>https?://)|(?=www\.))[^\s<>\"«»“”「」、。，！？（）]{1,2000}", re.IGNORECASE
)
_DOMAIN = re.compile(
    r"(?<![\w.@/-])[a-z0-9][a-z0-9-]{0,62}(?:\.[a-z0-9][a-z0-9-]{0,62}){0,4}"
    r"\.(?:com|org|net|edu|gov|info|io|ai|app|dev|de|fr|es|it|pt|br|pl|tr|ru|nl|cz|hu|kr|jp|cn|in|uk|eu)"
    r"(?![\w-]|\.\w)(?:/[^\s<>\"«»“”「」、。，！？（）]{0,2000})?",
    re.ASCII,
)
_TAIL = ".,;:!?)]}'\"*"  # of the sentence, not of the address
_PIECES = re.compile(r"[^\W_]+|.", re.DOTALL)
_SPELLED = 2  # letters of a country's domain: said one by one


def say_addresses(text: str, primary: str) -> str:
    """`primary` is a primary subtag; a language without a table keeps its addresses."""
    words = words_of(primary)
    if words is None or not ("." in text or "://" in text):
        return text
    marks = tuple(words.address.items())
    for pattern in (_MAIL, _WEB, _DOMAIN):
        text = pattern.sub(lambda match: _say(match, marks), text)
    return text


def _say(match: re.Match[str], marks: tuple[tuple[str, str], ...]) -> str:
    address = match[0]
    scheme = match.groupdict().get("scheme") or ""
    rest = address[len(scheme) :]
    kept = rest.rstrip(_TAIL)
    if not kept:
        return address
    tail = rest[len(kept) :]
    pieces = _PIECES.findall(kept.rstrip("/") or kept)
    is_path = False
    said = []
    for index, piece in enumerate(pieces):
        is_path = is_path or piece == "/"
        is_ending = index > 0 and pieces[index - 1] == "." and not is_path
        said.append(_piece(piece, marks, is_ending=is_ending))
    return f" {' '.join(said)} ".replace("  ", " ").rstrip() + tail + ("" if tail else " ")


@lru_cache(maxsize=1_024)
def _piece(piece: str, marks: tuple[tuple[str, str], ...], *, is_ending: bool) -> str:
    said = dict(marks).get(piece)
    if said is not None:
        return said
    is_letters = piece.isascii() and piece.isalpha()
    if is_letters and (piece.lower() == "www" or (is_ending and len(piece) <= _SPELLED)):
        return " ".join(piece)
    return piece
