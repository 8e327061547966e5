"""From turns to sentences: what the model will read, in order, with the silence between. Knows no voice's content."""

from collections.abc import Iterator
from dataclasses import dataclass

from serve_app.errors import EmptyText
from serve_app.model.config import CODE_RATE_HZ, ModelConfig
from serve_app.model.tokenizer import Tokenizer
from serve_app.speech.request import SpeechRequest, Turn, naming_turn
from serve_app.text.dictionary import Dictionary
from serve_app.text.languages import expected_codes, resolve_language
from serve_app.text.pauses import Part, read
from serve_app.text.sentences import split_sentences

LENGTH_MARGIN = 450 / 602  # of the codes a model can give a sentence: expected lengths are estimates
MAX_WARNINGS = 20  # of one text: a long one may have one a block


@dataclass(frozen=True)
class Sentence:
    """A piece of a turn's text; one sequence speaks it."""

    text: str
    language: str
    turn_index: int
    pause_s: float  # of silence before it
    expected_s: float  # how long it will be heard, the pause included


class Script:
    """A request's sentences, written as far as they are asked for. Used by one thread at a time."""

    def __init__(
        self, request: SpeechRequest, config: ModelConfig, tokenizer: Tokenizer, dictionary: Dictionary
    ) -> None:
        """Raises `UnsupportedLanguage`; the field of a dialogue's error names the turn: "turns.2.language"."""
        self._request, self._config, self._tokenizer = request, config, tokenizer
        self._dictionary = dictionary
        self.sentences: list[Sentence] = []
        self.last_pause_s = 0.0  # of silence after the last sentence
        self.num_tokens = 0
        self.warnings: list[str] = []
        self.is_whole = False
        self._languages: list[str] = []
        for index, turn in enumerate(request.turns):
            with naming_turn(request.turns, index):
                self._languages.append(resolve_language(turn.language, config.languages))
        self._steps = self._write()

    def extend(self, num_sentences: int) -> None:
        """Writes on until there are so many sentences, or all. Blocks for as long as a few thousand characters take.

        Raises `EmptyText`, or `RequestError` for pauses that are too long, naming the turn as above.
        """
        while not self.is_whole and len(self.sentences) < num_sentences:
            self.is_whole = next(self._steps, None) is None

    def _write(self) -> Iterator[Part]:
        """A step for each part of the text."""
        for index, turn in enumerate(self._request.turns):
            num_before = len(self.sentences)
            self.last_pause_s += turn.pause_s
            pronunciations = self._dictionary.of(self._languages[index]) + turn.pronunciations
            parts = read(turn.text, self._languages[index], pronunciations)
            while (part := self._next(parts, index)) is not None:
                self._add(part, index, turn)
                yield part
            with naming_turn(self._request.turns, index):
                if len(self.sentences) == num_before:
                    raise EmptyText(f"nothing in the text can be read as {self._languages[index]}", field="text")

    def _next(self, parts: Iterator[Part], index: int) -> Part | None:
        with naming_turn(self._request.turns, index):
            return next(parts, None)

    def _add(self, part: Part, index: int, turn: Turn) -> None:
        language = self._languages[index]
        pause_s = self.last_pause_s + part.pause_s
        for text in self._split(part.text, language):
            spoken_s = self._expected_codes(text, language) / CODE_RATE_HZ / turn.speed
            self.sentences.append(Sentence(text, language, index, pause_s, pause_s + spoken_s))
            self.num_tokens += self._tokenizer.count(text, language)
            pause_s = 0.0
        self.last_pause_s = pause_s
        unknown = self._tokenizer.unknown_characters(part.text, language)
        of_model = [f"the model's vocabulary has no symbol for: {' '.join(unknown)}"] if unknown else []
        self._warn(index, [*part.warnings, *of_model])

    def _warn(self, index: int, warnings: list[str]) -> None:
        prefix = f"turn {index + 1}: " if len(self._request.turns) > 1 else ""
        new = [line for line in (prefix + warning for warning in warnings) if line not in self.warnings]
        self.warnings += new[: MAX_WARNINGS - len(self.warnings)]

    def _split(self, text: str, language: str) -> Iterator[str]:
        sentences = split_sentences(
            text,
            language,
            count_tokens=lambda piece: self._tokenizer.count(piece, language),
            expected_codes=lambda piece: self._expected_codes(piece, language),
            max_tokens=self._config.gpt.max_sentence_tokens - 1,
            max_codes=LENGTH_MARGIN * self._config.gpt.max_codes,
        )
        return (sentence for sentence in sentences if self._tokenizer.has_sound(sentence, language))

    def _expected_codes(self, sentence: str, language: str) -> float:
        per_token = self._config.fixed_codes_per_token
        if per_token is None:
            return expected_codes(sentence, language)
        return per_token * self._tokenizer.count(sentence, language)
