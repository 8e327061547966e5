"""Counters as the front-end reads them."""

import pytest

from serve_app.model.make_vocab import VOCAB_FILE
from serve_app.model.tokenizer import Tokenizer
from serve_app.text.reading import japanese


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(VOCAB_FILE, ("ja",))


@pytest.mark.parametrize(
    ("words", "sound"),
    [
        (japanese.month(4), "shigatsu"),
        (japanese.month(7), "shichigatsu"),
        (japanese.month(9), "kugatsu"),
        ("三月" + japanese.day(2), "sangatsufutsuka"),
        ("三月" + japanese.day(3), "sangatsumikka"),
        ("三月" + japanese.day(14), "sangatsujuuyokka"),
        ("三月" + japanese.day(20), "sangatsuhatsuka"),
        (japanese.hour(4), "yoji"),
        ("午後" + japanese.hour(9), "gogokuji"),
        (japanese.hour(19), "juukuji"),
        (japanese.minute(1), "ippun"),
        (japanese.minute(8), "happun"),
        ("三時" + japanese.minute(15), "sanjijuugofun"),
        ("三時" + japanese.minute(30), "sanjisanjuppun"),
        (japanese.count(3, "本"), "sanbon"),
        (japanese.count(6, "匹"), "roppiki"),
    ],
)
def test_counted_sounds_as_it_is_said(tokenizer: Tokenizer, words: str, sound: str) -> None:
    assert tokenizer.prepare(words, "ja").replace(" ", "") == sound
