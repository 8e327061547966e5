"""Text → token ids, by coqui's own cleaners and the checkpoint's vocabulary. Knows no sentences and no tensors.

Equal to what coqui's `inference` encodes, but for what fails or is lost there: other scripts' digits and Hindi numbers
are read, numbers that cannot be spelled are read digit by digit, a special token's name in a text loses its brackets.
"""

import importlib
import logging
import re
import threading
from pathlib import Path
from typing import Any

import tokenizers
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

from serve_app.errors import CheckpointError, RequestError, StartupError, UnsupportedLanguage
from serve_app.model.hindi_numbers import read_numbers
from serve_app.model.pronunciation import Pronouncer, Pronunciations

logger = logging.getLogger(__name__)

START, STOP, UNKNOWN, SPACE = "[START]", "[STOP]", "[UNK]", "[SPACE]"
MAX_NUMBER_DIGITS = 36  # beyond it, no language has names for all of them and spelling gets slow
LONG_DIGITS = re.compile(rf"[0-9]{{{MAX_NUMBER_DIGITS + 1},}}")
# Digits with separators and signs inside or around them, as one number would be written.
NUMBER = re.compile(r"[0-9][0-9.,]*")
UNSPELLABLE_MARK = "?"  # what the Japanese front-end writes for a character that it has no reading for

# language → the module its front-end needs, and the packages that bring it
FRONT_ENDS = {
    "ja": ("cutlet", "cutlet fugashi[unidic-lite]"),
    "zh": ("pypinyin", "pypinyin"),
    "ko": ("ko_speech_tools", "ko-speech-tools"),
}


class Tokenizer:
    """Thread-safe. Language codes are the checkpoint's own, `zh-cn` included."""

    def __init__(self, vocab_file: Path, languages: tuple[str, ...], pronunciations_file: Path | None = None) -> None:
        """`pronunciations_file`: of a model whose tokens are the phonemes of English.

        Raises CheckpointError for a file that is no vocabulary or lacks a language, StartupError for a front-end
        that is not installed."""
        self._tokenizer = read_vocabulary(vocab_file)
        self._pronounce: Pronouncer | None = None
        if pronunciations_file is not None:
            self._pronounce = Pronouncer(Pronunciations.read(pronunciations_file))
        self._languages = languages
        self._cleaners: Any = VoiceBpeTokenizer()
        self._lock = threading.Lock()  # the Japanese front-end keeps state while it works
        self._unknown_id = self._tokenizer.token_to_id(UNKNOWN)
        missing = [language for language in languages if self._tokenizer.token_to_id(f"[{language}]") is None]
        if missing:
            raise CheckpointError(
                f"{vocab_file.name} has no token for the languages {', '.join(missing)} that config.json lists. "
                "Use the vocab.json that belongs to the checkpoint."
            )
        self._special = re.compile(r"\[(" + "|".join(map(re.escape, _special_names(self._tokenizer))) + r")\]")
        for language in languages:
            _check_front_end(_base(language))

    def encode(self, text: str, language: str) -> list[int]:
        """Token ids without START and STOP. Raises UnsupportedLanguage; RequestError for unreadable text."""
        prepared = self.prepare(text, language)
        if self._pronounce is not None:
            prepared = self._pronounce(prepared)
        ids: list[int] = self._tokenizer.encode(_marked(prepared, language)).ids
        return ids

    def has_sound(self, text: str, language: str) -> bool:
        """Whether anything of a text is spoken: a model that reads phonemes is silent where it finds none."""
        return self._pronounce is None or bool(self._pronounce(self.prepare(text, language)))

    def count(self, text: str, language: str) -> int:
        """How many ids `encode` gives."""
        return len(self.encode(text, language))

    def prepare(self, text: str, language: str) -> str:
        """What is tokenised: lower case, numbers and symbols as words, pinyin for zh, Latin letters for ja and ko."""
        if language not in self._languages:
            raise UnsupportedLanguage(
                f"the model does not speak {language!r}. Use one of {', '.join(self._languages)}.", field="language"
            )
        text = self._special.sub(r" \1 ", text.strip().lower())  # coqui's `inference` strips and lowers too
        text = LONG_DIGITS.sub(lambda match: " ".join(match.group()), _ascii_digits(text))
        if _base(language) == "hi":
            text = read_numbers(text)
        try:
            return self._clean(text, language)
        except Exception:  # third-party cleaners raise whatever they meet: one text must not become a server error
            logger.warning("a text in %s has a number that is read digit by digit", language, exc_info=True)
        try:
            return self._clean(NUMBER.sub(_spell_out, text), language)
        except Exception as error:
            raise RequestError(
                f"the text cannot be read as {language}: {error}. Take out unusual symbols and numbers.", field="text"
            ) from error

    def _clean(self, text: str, language: str) -> str:
        base = _base(language)
        if base == "ja":
            with self._lock:
                return str(self._cleaners.preprocess_text(text, base))
        return str(self._cleaners.preprocess_text(text, base))

    def unknown_characters(self, text: str, language: str) -> list[str]:
        """The characters that will not be spoken, each once: those without a token, or without a Japanese reading."""
        prepared = self.prepare(text, language)
        if self._pronounce is not None:
            return self._pronounce.unspoken(prepared)
        marked = _marked(prepared, language)
        encoding = self._tokenizer.encode(marked)
        known: set[int] = set()
        for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if token_id != self._unknown_id:
                known.update(range(start, end))
        unknown = [character for i, character in enumerate(marked) if i not in known and not character.isspace()]
        if _base(language) == "ja" and prepared.count(UNSPELLABLE_MARK) > _num_question_marks(text):
            unknown += self._without_reading(text)
        return list(dict.fromkeys(unknown))

    def _without_reading(self, text: str) -> list[str]:
        candidates = [c for c in dict.fromkeys(text) if not c.isascii() and c != "？" and not c.isspace()]
        return [c for c in candidates if UNSPELLABLE_MARK in self._clean(c, "ja")]


def read_vocabulary(vocab_file: Path) -> tokenizers.Tokenizer:
    """The vocabulary with its START, STOP and SPACE tokens. Raises CheckpointError for anything else."""
    try:
        vocabulary = tokenizers.Tokenizer.from_file(str(vocab_file))
    except Exception as error:  # the library raises bare Exception for every kind of bad file
        raise CheckpointError(
            f"{vocab_file.name} cannot be read as a vocabulary: {error}. "
            "Use the vocab.json that belongs to the checkpoint."
        ) from error
    missing = [token for token in (START, STOP, SPACE) if vocabulary.token_to_id(token) is None]
    if missing:
        raise CheckpointError(
            f"{vocab_file.name} has no {', '.join(missing)} token, so it is not XTTS v2's. "
            "Use the vocab.json that belongs to the checkpoint."
        )
    return vocabulary


def _special_names(vocabulary: tokenizers.Tokenizer) -> list[str]:
    """Special tokens that lower-case text can spell, without their brackets: the language tags."""
    tokens = [token.content for token in vocabulary.get_added_tokens_decoder().values()]
    return [token[1:-1] for token in tokens if token.startswith("[") and token.endswith("]") and token == token.lower()]


def _check_front_end(language: str) -> None:
    module, packages = FRONT_ENDS.get(language, ("", ""))
    if not module:
        return
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise StartupError(
            f"the language {language} needs a front-end that is not installed ({error}). Run: pip install {packages}"
        ) from error


def _base(language: str) -> str:
    return language.partition("-")[0]


def _marked(prepared: str, language: str) -> str:
    """With the language token in front and spaces as tokens, as `VoiceBpeTokenizer.encode` writes it."""
    tag = "zh-cn" if _base(language) == "zh" else _base(language)
    return f"[{tag}]{prepared}".replace(" ", SPACE)


def _spell_out(match: re.Match[str]) -> str:
    return " " + " ".join(character for character in match.group() if character.isdigit()) + " "


def _ascii_digits(text: str) -> str:
    """Arabic, Devanagari and other scripts' digits as 0 to 9, the only ones that the cleaners read."""
    return "".join(str(int(c)) if c.isdecimal() else c for c in text)


def _num_question_marks(text: str) -> int:
    return text.count("?") + text.count("？")
