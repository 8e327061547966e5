from pathlib import Path

import pytest

from serve_app.errors import CheckpointError
from serve_app.model.pronunciation import Pronouncer, Pronunciations, add_s, rule_contexts, with_one_stress

WORDS = {"hello": "həlˈo", "world": "wˈɝld", "cat": "kˈæt", "the": "ðə", "h": "ˈeʧ", "t": "tˈi", "p": "pˈi", "a": "ə"}
RULES = {"[b]": "b", "[a]": "æ", "[t]": "t", "[o]": "ɑ", "[o]a": "o", "[i]": "ˈɪ"}


@pytest.fixture
def pronounce() -> Pronouncer:
    return Pronouncer(Pronunciations(WORDS, RULES))


@pytest.mark.parametrize(
    ("text", "ipa"),
    [
        ("hello, world.", "həlˈo, wˈɝld."),
        ("  the   cat ", "ðə kˈæt"),
        ("hello — world; (cat)!", "həlˈo, wˈɝld, kˈæt!"),
        ("the cat’s", "ðə kˈæts"),
        ("cats", "kˈæts"),
        ("http", "ˈeʧ tˈi tˈi pˈi"),
        ("boat", "bˈoæt"),  # by rules, the longer context first; the stress on the first vowel
        ("bit", "bˈɪt"),
        ("hélló", "həlˈo"),
        ("?!,", ""),
        ("hello??", "həlˈo?"),
        ("hello!,", "həlˈo!"),
        ("hello. world? cat!", "həlˈo, wˈɝld, kˈæt!"),
    ],
)
def test_text_becomes_phonemes(pronounce: Pronouncer, text: str, ipa: str) -> None:
    assert pronounce(text) == ipa


def test_what_is_left_out_is_named(pronounce: Pronouncer) -> None:
    assert pronounce("hello 世界 cat") == "həlˈo kˈæt"
    assert pronounce.unspoken("hello 世界 ★ cat 世") == ["世", "界"]


@pytest.mark.parametrize(("stem", "whole"), [("kˈæt", "kˈæts"), ("dˈɑɡ", "dˈɑɡz"), ("fˈɑks", "fˈɑksɪz")])
def test_ending_follows_the_sound_before_it(stem: str, whole: str) -> None:
    assert add_s(stem) == whole


@pytest.mark.parametrize(
    ("sounds", "stressed"), [("bænænə", "bˈænænə"), ("ˈæbˈæ", "ˈæbæ"), ("əbə", "ˈʌbə"), ("ps", "ps"), ("baɪt", "bˈaɪt")]
)
def test_a_word_has_one_stress(sounds: str, stressed: str) -> None:
    assert with_one_stress(sounds) == stressed


def test_contexts_shrink_to_the_letter_alone() -> None:
    contexts = rule_contexts("cat", 1)
    assert contexts[0] == "##c[a]t###"
    assert contexts[-1] == "[a]"


def test_file_is_read_as_written(tmp_path: Path) -> None:
    Pronunciations(WORDS, RULES).write(tmp_path / "p.json.gz")
    assert Pronunciations.read(tmp_path / "p.json.gz") == Pronunciations(WORDS, RULES)


@pytest.mark.parametrize("content", [b"", b"no gzip at all"])
def test_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.json.gz").write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read as pronunciations"):
        Pronunciations.read(tmp_path / "p.json.gz")
