"""Where a text may be cut: ends of sentences, clauses, words and graphemes. Knows no limits of length.

Own rules, not pysbd: 0.3.4 is quadratic in the length, breaks URLs at "?" and has no ko, tr, hu, cs, pt.
A position is an index into the text; the piece before it takes the spaces along.
"""

import re
from collections.abc import Iterator

import regex  # type: ignore[import-untyped]

from serve_app.text.languages import primary_subtag

_CJK = r"\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CLOSERS = r"\"')\]}»”’」』】》）"
_IS_CJK = re.compile(f"[{_CJK}]")

# A run of marks with the quotes and brackets it closes; the last group is the space after it.
_MARKS = re.compile(rf"(?P<marks>[.!?…。！？｡؟۔।]+)(?P<closers>[{_CLOSERS}]*)(?P<space>\s+|$)?")
_CLAUSE = re.compile(
    rf"[,;:،؛.!?…؟۔।。！？、，；：][{_CLOSERS}]*\s+|\s-\s+|\s+(?=\()|[、，；：。！？][{_CLOSERS}]*(?!\d)|[,;:](?=[{_CJK}])"
)
_SPACE = re.compile(r"\s+")
# Between East Asian characters, but not before what may not begin a line nor after an opening bracket.
_NOT_FIRST = "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶー々・、。，！？；：\u3099-\u309c"
_CJK_WORD = re.compile(rf"(?<=[{_CJK}])(?=\w)(?![{_NOT_FIRST}])|(?<=\w)(?=[{_CJK}])(?![{_NOT_FIRST}])")
# A phrase of Japanese mostly ends in hiragana, and the next begins with a Han character or katakana.
_JAPANESE_PHRASE = re.compile(r"(?<=[\u3041-\u309f])(?=[\u30a1-\u30fa\u3400-\u9fff])")
_GRAPHEME = regex.compile(r"\X")

_NEXT_WORD = re.compile(r"[\"'(\[{¿¡«“‘「『]*(.)", re.DOTALL)
_LAST_WORD = re.compile(r"[^\s\"'(\[{¿¡«“‘「『]+$")
_NUMBER = re.compile(r"\d{1,3}$")
_ROMAN = re.compile(r"[IVXLC]+$")
_DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}$")  # "U.S", "z.B", "т.е"
_WORD_WINDOW = 24  # characters looked at before a full stop: no abbreviation is longer
_NEXT_WINDOW = 16
_MAX_OPENERS = 4  # quotes, brackets and spaces that may stand before a sentence's first word

_ORDINAL_LANGUAGES = frozenset(("de", "cs", "pl", "hu", "tr", "sk", "da", "fi"))  # "am 3. Oktober"

# Abbreviations that something always follows. Those that may end a sentence ("etc.", "Inc.") are left out: there the
# next word decides.
_ABBREVIATIONS = {
    "en": "mr mrs ms dr drs prof st sr jr rev hon gen col maj capt lt sgt gov pres sen rep ft mt vs approx ca cf est",
    "es": "sr sra srta dr dra prof profa d dña ud uds vd vds av avda gral lic ing st sto sta aprox",
    "fr": "mr mm mme mlle mlles mgr dr pr st ste bd av env cf",
    "de": "hr hrn fr frl dr prof st bzw ca vgl evtl ggf inkl exkl zzgl dipl ing geb gest hl mio mrd sog str tel",
    "it": "sig sigg sig.ra sig.na dott dott.ssa dr prof prof.ssa avv ing st ss ca cfr",
    "pt": "sr sra srta dr dra prof profa d exmo exma eng av aprox st sto sta",
    "pl": "p pp m dr hab inż mgr prof ul al pl np tzn tzw wg św sw tel ks gen płk",
    "tr": "b byk dr doç prof av sn st cad sok mah bkz örn vb yy",
    "ru": "г гг ул пр д кв проф акад д-р г-н г-жа см ср тел руб коп тыс млн млрд св обл",
    "nl": "dhr mevr mw dr drs ir ing mr prof st jhr jkvr bijv o.a d.w.z ca resp tel ds",
    "cs": "dr ing mgr bc judr mudr phdr prof doc p pí tj tzv např sv ul nám tel cca",
    "hu": "dr prof ifj id özv b nőv u ún pl kb st szt sz",
    "ar": "د أ م ص ت",
    "hi": "डॉ प्रो श्री सं रु क्र कु मो",
}
# Words in their own right ("No."), abbreviations only before a number.
_BEFORE_NUMBERS = (
    "no nos nr n nº núm fig figs art vol vols pag pagg pág págs p pp ch s bd abs kap str jh č obr blz стр рис табл "
    "jan feb mar apr jun jul aug sep sept oct nov dec mär okt dez janv févr avr juil déc"
)


def sentence_ends(text: str, language: str) -> Iterator[int]:
    """Positions after each sentence, the text's own end left out. One pass, linear in the length."""
    abbreviations = _abbreviations(primary_subtag(language))
    start = num_quotes = counted = 0
    for match in _MARKS.finditer(text):
        end = match.end()
        if match["space"] is None:
            num_quotes += text.count('"', counted, match.end("marks"))
            counted = match.end("marks")
            if not _ends_without_space(text, match, language):
                continue
            if match["closers"].startswith('"') and num_quotes % 2 == 0:
                end = match.end("marks")  # the quote opens the next sentence
        elif end >= len(text) or not _ends_before_space(text, match, start, language, abbreviations):
            continue
        if end < len(text):
            yield end
            start = end


def clause_ends(text: str) -> list[int]:
    """Positions after marks that a reader pauses at, doubtful sentence ends among them."""
    return _inner(text, (match.end() for match in _CLAUSE.finditer(text)))


def phrase_ends(text: str, language: str) -> list[int]:
    """Likely phrase ends of a script without spaces: Japanese only; elsewhere there are none."""
    if primary_subtag(language) != "ja":
        return []
    return _inner(text, (match.start() for match in _JAPANESE_PHRASE.finditer(text)))


def word_ends(text: str) -> list[int]:
    """Positions after spaces, and between characters of scripts that write no spaces."""
    spaces = {match.end() for match in _SPACE.finditer(text)}
    return _inner(text, sorted(spaces.union(match.start() for match in _CJK_WORD.finditer(text))))


def grapheme_ends(text: str) -> list[int]:
    """Positions after each user-perceived character (Unicode TR 29, extended grapheme clusters)."""
    return _inner(text, (match.end() for match in _GRAPHEME.finditer(text)))


def _inner(text: str, positions: Iterator[int] | list[int]) -> list[int]:
    return [position for position in positions if 0 < position < len(text)]


def _abbreviations(primary: str) -> frozenset[str]:
    return frozenset(_ABBREVIATIONS.get(primary, "").split())


def _ends_without_space(text: str, match: re.Match[str], language: str) -> bool:
    """Full-width marks end a sentence anywhere; plain ones only between East Asian letters ("すごい!次は")."""
    if match["closers"] and primary_subtag(language) == "ja" and text[match.end() : match.end() + 1] in ("と", "っ"):
        return False  # 「はい。」と言った
    if any(mark in "。！？｡" for mark in match["marks"]):
        return True
    if set(match["marks"]) <= {"…"} or match["marks"].startswith(".."):
        return False
    before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
    return bool(_IS_CJK.match(before) and _IS_CJK.match(after))


def _ends_before_space(
    text: str, match: re.Match[str], start: int, language: str, abbreviations: frozenset[str]
) -> bool:
    following = _NEXT_WORD.match(text, match.end(), match.end() + _NEXT_WINDOW)
    is_lower_next = following is not None and following[1].islower()
    marks = match["marks"]
    if marks.strip(".…"):
        return not (is_lower_next and match["closers"])  # '"Really?" she said' goes on
    if is_lower_next:
        return False
    return len(marks) > 1 or marks == "…" or not _is_abbreviation(text, match, start, language, abbreviations)


def _is_abbreviation(text: str, match: re.Match[str], start: int, language: str, abbreviations: frozenset[str]) -> bool:
    """Whether the single full stop of `match` belongs to its word, and the sentence that began at `start` goes on."""
    stop = match.start()
    found = _LAST_WORD.search(text[max(start, stop - _WORD_WINDOW) : stop])
    if found is None or match["closers"]:
        return False
    word = found[0]
    begin = stop - len(word)
    is_first = begin - start <= _MAX_OPENERS and not text[start:begin].strip("\"'( ")
    if _NUMBER.match(word):
        return is_first or (primary_subtag(language) in _ORDINAL_LANGUAGES and len(word) <= 2)
    if primary_subtag(language) in _ORDINAL_LANGUAGES and _ROMAN.match(word):
        return True
    if word.lower() in abbreviations or _DOTTED.match(word):
        return True
    if word.lower() in _BEFORE_NUMBERS.split() and text[match.end() : match.end() + 1].isdigit():
        return True
    return len(word) == 1 and word.isupper() and word != "I"  # an initial
