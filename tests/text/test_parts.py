"""Parts of a long text: nothing is lost, sentences stay whole where they can, marks always."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.text.parts import SHORT_CHARS, cut_parts


@given(st.text(alphabet="ab .!?\n。、あ\"'[pause:0.5]", max_size=600), st.sampled_from(["en", "ja"]))
def test_parts_joined_are_the_text(text: str, language: str) -> None:
    parts = list(cut_parts(text, language, 100))
    assert "".join(parts) == text and all(parts)
    assert all(len(part) <= 100 for part in parts[:-1]) and all(len(part) < 100 + SHORT_CHARS for part in parts[-1:])


def test_cut_is_where_a_sentence_ends() -> None:
    text = "One sentence of some length is here. " * 60
    parts = list(cut_parts(text, "en", 1_000))
    assert len(parts) == 3 and all(part.endswith("here. ") for part in parts)


def test_sentence_without_end_is_cut_at_a_space() -> None:
    parts = list(cut_parts("word " * 500, "en", 1_000))
    assert len(parts) == 3 and all(part.endswith("word ") for part in parts)


def test_text_without_spaces_is_cut_anywhere() -> None:
    assert [len(part) for part in cut_parts("あ" * 2_500, "ja", 1_000)] == [1_000, 1_000, 500]


@pytest.mark.parametrize("before", range(85, 101))
def test_mark_of_a_pause_is_never_cut(before: int) -> None:
    parts = cut_parts("x" * before + "[pause: 0.5 s]" + "y" * 100, "en", 100)
    assert any("[pause: 0.5 s]" in part for part in parts)


def test_short_last_part_goes_along_with_the_one_before() -> None:
    text = "A sentence that is here. " * 40 + "Yes."
    assert len(text) > 1_000
    assert list(cut_parts(text, "en", 1_000)) == [text]
