import pytest

from serve_app.model.hindi_numbers import UNDER_HUNDRED, read_numbers


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("0", "शून्य"),
        ("42", "बयालीस"),
        ("100", "एक सौ"),
        ("2024", "दो हज़ार चौबीस"),
        ("1,25,000", "एक लाख पच्चीस हज़ार"),
        ("10,000,000", "एक करोड़"),
        ("3.05", "तीन दशमलव शून्य पाँच"),
        ("007", "शून्य शून्य सात"),
        ("1" * 14, " ".join(["एक"] * 14)),
    ],
)
def test_number_becomes_words(number: str, words: str) -> None:
    assert read_numbers(number) == words


def test_words_under_a_hundred_are_a_hundred_different_ones() -> None:
    assert len(UNDER_HUNDRED) == len(set(UNDER_HUNDRED)) == 100


def test_text_around_numbers_stays() -> None:
    assert read_numbers("कीमत 50 रुपये, 3.") == "कीमत पचास रुपये, तीन."
