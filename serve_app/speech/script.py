"""From turns to sentences: what the model will read, in order, with the silence between. Knows no voice's content."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from serve_app.errors import EmptyText, RequestError
from serve_app.model.config import CODE_RATE_HZ, ModelConfig
from serve_app.model.tokenizer import Tokenizer
from serve_app.speech.request import SpeechRequest, Turn
from serve_app.text.languages import expected_codes, resolve_language
from serve_app.text.pauses import read
from serve_app.text.sentences import split_sentences

LENGTH_MARGIN = 450 / 602  # of the codes a model can give a sentence: expected lengths are estimates


@dataclass(frozen=True)
class Sentence:
    """A piece of a turn's text; one sequence speaks it."""

    text: str
    language: str
    turn_index: int
    pause_s: float  # of silence before it
    expected_s: float  # how long it will be heard, the pause included


@dataclass
class Script:
    """A request's text as it will be read, and what its author should know."""

    sentences: list[Sentence] = field(default_factory=list)
    last_pause_s: float = 0.0  # of silence after the last sentence
    num_tokens: int = 0
    warnings: list[str] = field(default_factory=list)


class ScriptWriter:
    """Writes the scripts of one model. Thread-safe."""

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer) -> None:
        self._config, self._tokenizer = config, tokenizer

    def write(self, request: SpeechRequest) -> Script:
        """Raises `EmptyText`, `UnsupportedLanguage`, or `RequestError` for pauses that are too long; the field of a
        dialogue's error names the turn: "turns.2.text"."""
        script = Script()
        is_dialogue = len(request.turns) > 1
        for index, turn in enumerate(request.turns):
            try:
                warnings = self._add(script, index, turn)
            except RequestError as error:
                if not is_dialogue:
                    raise
                raise type(error)(error.message, field=f"turns.{index}.{error.field or 'text'}") from None
            script.warnings += (f"turn {index + 1}: {warning}" if is_dialogue else warning for warning in warnings)
        return script

    def _add(self, script: Script, index: int, turn: Turn) -> list[str]:
        """The turn's sentences at the script's end; returns what its author should know."""
        language = resolve_language(turn.language, self._config.languages)
        readable = read(turn.text, language, turn.pronunciations)
        pause_s = script.last_pause_s + turn.pause_s
        num_before = len(script.sentences)
        for part in readable.parts:
            pause_s += part.pause_s
            for text in self._sentences(part.text, language):
                spoken_s = self._expected_codes(text, language) / CODE_RATE_HZ / turn.speed
                script.sentences.append(Sentence(text, language, index, pause_s, pause_s + spoken_s))
                script.num_tokens += self._tokenizer.count(text, language)
                pause_s = 0.0
        if len(script.sentences) == num_before:
            raise EmptyText(f"nothing in the text can be read as {language}", field="text")
        script.last_pause_s = pause_s + readable.last_pause_s
        unknown = self._tokenizer.unknown_characters(" ".join(part.text for part in readable.parts), language)
        of_model = [f"the model's vocabulary has no symbol for: {' '.join(unknown)}"] if unknown else []
        return [*readable.warnings, *of_model]

    def _sentences(self, text: str, language: str) -> Iterator[str]:
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
