"""English text → phonemes in IPA, for models trained on phonemes: a lexicon, and letter-to-sound rules for the rest.

Loads no torch. The lexicon and the rules are one file of the checkpoint, written by `serve_app.training.lexicon`.
"""

import gzip
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from serve_app.errors import CheckpointError

PRONUNCIATIONS_FILE = "pronunciations.json.gz"
STRESS = "ˈ"  # before the vowel that has the main stress of its word

# CMUdict's phones. AH without stress is ə; every other vowel is the same sound with and without.
IPA = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "ʧ", "D": "d", "DH": "ð",
    "EH": "ɛ", "ER": "ɝ", "EY": "e", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ", "IY": "i", "JH": "ʤ", "K": "k",
    "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "o", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ",
    "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
SCHWA = "ə"
VOWELS = frozenset({IPA[name] for name in ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY",
                                           "UH", "UW")} | {SCHWA})  # fmt: skip
COMMA = ","
PAUSES = ",.?!"  # the marks that are spoken, as pauses and melody

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_PIECE = re.compile(rf"{_WORD.pattern}|[{PAUSES}]")
_PAUSE_FOR = str.maketrans({";": ",", ":": ",", "—": ",", "–": ",", "(": ",", ")": ",", "…": ".", "’": "'", "‘": "'"})
_SIBILANTS, _VOICELESS = frozenset("szʃʒʧʤ"), frozenset("ptkfθ")
_LETTER_A = "ˈe"
_MAX_SPELLED = 5  # letters of a word without vowel letters that is read letter by letter

LEFT_CONTEXT, RIGHT_CONTEXT = 3, 4  # letters either side that a rule may look at
EDGE = "#"


@dataclass(frozen=True)
class Pronunciations:
    """`words`: spelling → IPA. `rules`: letters as `rule_contexts` names them → IPA of the middle one."""

    words: Mapping[str, str]
    rules: Mapping[str, str]

    @staticmethod
    def read(path: Path) -> "Pronunciations":
        """Raises CheckpointError."""
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                raw = json.load(file)
            return Pronunciations(dict(raw["words"]), dict(raw["rules"]))
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path} cannot be read as pronunciations: {error}. Use the one that belongs to the checkpoint."
            ) from error

    def write(self, path: Path) -> None:
        text = json.dumps({"words": self.words, "rules": self.rules}, ensure_ascii=False, separators=(",", ":"))
        path.write_bytes(gzip.compress(text.encode(), mtime=0))


class Pronouncer:
    """Thread-safe."""

    def __init__(self, pronunciations: Pronunciations) -> None:
        self._words, self._rules = pronunciations.words, pronunciations.rules
        self._word = lru_cache(maxsize=16_384)(self._pronounce_word)

    def __call__(self, text: str) -> str:
        """Lower-case English, numbers already words → phones with a space between words, pauses after them.

        What is neither a Latin word nor a pause is left out; `unspoken` names it. A pause before more words is a comma:
        who has learnt sentences one by one takes a full stop for the end.
        """
        pieces: list[str] = []
        for piece in _PIECE.findall(_plain(text)):
            if piece not in PAUSES:
                pieces.append(" " + self._word(piece))
            elif pieces and pieces[-1] in PAUSES:
                pieces[-1] = max(pieces[-1], piece, key=PAUSES.index)
            elif pieces:
                pieces.append(piece)
        inner = (COMMA if piece in PAUSES else piece for piece in pieces[:-1])
        return "".join([*inner, *pieces[-1:]]).strip()

    def unspoken(self, text: str) -> list[str]:
        """The letters, each once, that `__call__` leaves out; marks without a sound are not named."""
        rest = _PIECE.sub("", _plain(text))
        return [character for character in dict.fromkeys(rest) if character.isalnum()]

    def _pronounce_word(self, word: str) -> str:
        known = self._words.get(word)
        if known is not None:
            return known
        stem, apostrophe, ending = word.rpartition("'")
        if apostrophe and ending == "s":
            return add_s(self._word(stem))
        if apostrophe:
            return self._word(stem + ending)
        if word.endswith("s") and not word.endswith("ss") and word[:-1] in self._words:
            return add_s(self._words[word[:-1]])
        if not set(word) & set("aeiouy") and len(word) <= _MAX_SPELLED:
            return " ".join(self._letter(letter) for letter in word)
        return self._by_rules(word)

    def _letter(self, letter: str) -> str:
        return _LETTER_A if letter == "a" else self._words.get(letter, "")

    def _by_rules(self, word: str) -> str:
        sounds = [self._sound(word, index) for index in range(len(word))]
        return with_one_stress("".join(sounds))

    def _sound(self, word: str, index: int) -> str:
        for context in rule_contexts(word, index):
            sound = self._rules.get(context)
            if sound is not None:
                return sound
        return ""


def _plain(text: str) -> str:
    """Letters without accents, and the few marks that are spoken in place of all that mean a pause."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).translate(_PAUSE_FOR)


def rule_contexts(word: str, index: int) -> list[str]:
    """The letter with more and less of its neighbours, the most first: "left[letter]right"."""
    padded = EDGE * LEFT_CONTEXT + word + EDGE * RIGHT_CONTEXT
    middle = index + LEFT_CONTEXT
    spans = [(min(size // 2, LEFT_CONTEXT), (size + 1) // 2) for size in range(2 * RIGHT_CONTEXT, -1, -1)]
    return [
        f"{padded[middle - left : middle]}[{word[index]}]{padded[middle + 1 : middle + 1 + right]}"
        for left, right in spans
    ]


def add_s(sounds: str) -> str:
    """A word's phones with the ending of plurals and possessives."""
    last = sounds[-1:]
    if last in _SIBILANTS:
        return sounds + "ɪz"
    return sounds + ("s" if last in _VOICELESS else "z")


def with_one_stress(sounds: str) -> str:
    """The phones of a word with the first of its stresses; on the first vowel, if it has none."""
    first = sounds.find(STRESS)
    if first < 0:
        first = next((i for i, phone in enumerate(sounds) if phone in VOWELS or phone == "a"), -1)
        sounds = sounds if first < 0 else sounds[:first] + STRESS + sounds[first:]
    else:
        sounds = sounds[: first + 1] + sounds[first + 1 :].replace(STRESS, "")
    return sounds.replace(STRESS + SCHWA, STRESS + IPA["AH"])


def phones_to_ipa(phones: list[str]) -> str:
    """CMUdict's phones, vowels with their stress digit → IPA. Secondary stress is not written."""
    return "".join(_to_ipa(phone) for phone in phones)


def _to_ipa(phone: str) -> str:
    name = phone.rstrip("012")
    if phone.endswith("1"):
        return STRESS + IPA[name]
    return SCHWA if phone == "AH0" else IPA[name]
