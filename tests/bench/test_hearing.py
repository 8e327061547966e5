import numpy as np
import pytest

from serve_app.bench.hearing import Spoken, longest_silence_s, table
from serve_app.training.hearing import Heard, edit_distance, word_error_rate, words


def test_words_are_compared_without_case_marks_and_digits() -> None:
    assert words("up 12% & down") == ["up", "twelve", "percent", "and", "down"]
    assert words("It's 21 o'clock - on Dr. Well-Known's 1,000th day!") == (
        ["it's", "twenty", "one", "o'clock", "on", "dr", "well", "known's", "one", "thousand", "th", "day"]
    )


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("Où est l'Église ? 21 h.", "fr", ["où", "est", "l'église", "vingt", "et", "un", "h"]),
        ("Приве́т, мир!", "ru", ["приве́т", "мир"]),
        ("नमस्ते दुनिया 5", "hi", ["नमस्ते", "दुनिया", "5"]),
        ("你好，世界。", "zh-cn", ["你", "好", "世", "界"]),
        ("안녕 하세요.", "ko", ["안녕", "하세요"]),
    ],
)
def test_words_of_other_languages_keep_their_letters(text: str, language: str, found: list[str]) -> None:
    assert words(text, language) == found


@pytest.mark.parametrize(
    ("asked", "found", "errors"),
    [("a b c", "a b c", 0), ("a b c", "a c", 1), ("a b c", "a x c d", 2), ("a b", "", 2), ("", "a", 1)],
)
def test_errors_are_substitutions_omissions_and_insertions(asked: str, found: str, errors: int) -> None:
    assert edit_distance(asked.split(), found.split()) == errors


def test_rate_weighs_sentences_by_their_words() -> None:
    heard = [Heard("One two three four.", "one two three four"), Heard("Six.", "seven")]
    assert word_error_rate(heard) == pytest.approx(1 / 5)


def test_silence_counts_inside_the_speech_only() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)
    quiet = np.zeros(36_000, dtype=np.float32)
    assert longest_silence_s(np.concatenate([quiet, noise, quiet, noise, quiet])) == pytest.approx(1.5, abs=0.05)
    assert longest_silence_s(np.zeros(10, dtype=np.float32)) == 0.0


def test_a_row_counts_what_went_wrong() -> None:
    spoken = [
        Spoken("joe", "The cat sat.", "The cat sat.", 1.0, 0.1),
        Spoken("joe", "The cat sat.", "The cat sat on the mat and", 3.0, 0.1),  # a tail
        Spoken("joe", "The cat sat.", "The cat", 2.0, 1.4),  # a silence
    ]
    assert table("mini", spoken)[-1] == "| joe | 55.6% | 1 of 3 | 2 | 2.00 |"
