"""A service's own pronunciations: what the file may say, and whose words win."""

import json
import time
from pathlib import Path

import pytest

from serve_app.errors import SettingsError
from serve_app.text.dictionary import MAX_WORDS, Dictionary
from serve_app.text.respelling import respell


def written(directory: Path, content: object) -> Path:
    path = directory / "words.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_language_finds_its_words_and_those_of_all(tmp_path: Path) -> None:
    words = {"*": {"SQL": "S Q L", "nginx": "engine x"}, "en": {"SQL": "sequel"}, "zh-cn": {"重庆": "崇庆"}}
    dictionary = Dictionary.read(written(tmp_path, words))
    assert respell("SQL, nginx", dictionary.of("en")) == "sequel, engine x"
    assert respell("SQL, nginx", dictionary.of("de")) == "S Q L, engine x"
    assert respell("重庆", dictionary.of("zh-cn")) == respell("重庆", dictionary.of("zh")) == "崇庆"
    assert Dictionary().of("en") == ()


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[]", '{"SQL": "sequel"}', '{"en": {"SQL": 1}}', '{"en": {" ": "x"}}'),
        {"en": {"x" * 101: "y"}},
        {"en": {str(number): "x" for number in range(MAX_WORDS + 1)}},
    ],
)
def test_file_that_says_something_else_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(SettingsError, match=r"words\.json"):
        Dictionary.read(written(tmp_path, content))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        Dictionary.read(tmp_path / "none.json")


def test_many_words_are_found_in_no_time() -> None:
    words = Dictionary({"en": {f"word{number}": f"spelling {number}" for number in range(MAX_WORDS)}}).of("en")
    respell("x", words)  # made into a pattern once
    started_s = time.perf_counter()
    for _ in range(20):
        assert respell("a word77, " * 200, words) == "a spelling 77, " * 200
    assert time.perf_counter() - started_s < 2.0
