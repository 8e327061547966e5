"""A user's pronunciations: what is replaced, what is left, and how long it may take."""

import time

import pytest

from serve_app.text.respelling import respell


@pytest.mark.parametrize(
    ("text", "pronunciations", "expected"),
    [
        ("NVIDIA makes GPUs.", {"nvidia": "en-VID-ia"}, "en-VID-ia makes GPUs."),
        ("GPU, GPUs and eGPU", {"gpu": "gee pee you"}, "gee pee you, GPUs and eGPU"),
        ("New York, York", {"York": "Yawk", "New York": "Noo Yawk"}, "Noo Yawk, Yawk"),
        ("New\n York", {"new york": "NYC"}, "NYC"),
        ("C++ and C", {"c++": "see plus plus"}, "see plus plus and C"),
        ("C++11", {"C++": "see plus plus "}, "see plus plus 11"),
        ("東京都へiPhoneで東京", {"東京": "とうきょう"}, "とうきょう都へiPhoneでとうきょう"),
        ("iPhone東京", {"iphone": "アイフォーン"}, "アイフォーン東京"),
        ("Zoe\u0308 here", {"Zoë": "Zo-ee"}, "Zo-ee here"),
        ("ÀBC", {"àbc": "x"}, "x"),
        ("a\\1b", {"a": r"\g<0>"}, "\\g<0>\\1b"),
        ("nothing", {}, "nothing"),
        ("nothing", {" ": "x"}, "nothing"),
        ("drop this word", {"this": ""}, "drop  word"),
    ],
)
def test_respell(text: str, pronunciations: dict[str, str], expected: str) -> None:
    assert respell(text, tuple(pronunciations.items())) == expected


def test_spelling_is_not_respelled_again() -> None:
    assert respell("one two", (("one", "two"), ("two", "one"))) == "two one"


def test_words_that_share_their_beginnings_are_found_in_linear_time() -> None:
    text = "a " * 10_000
    pronunciations = tuple(("a " * number + "b", "x") for number in range(1, 49))
    started_s = time.perf_counter()
    assert respell(text, pronunciations) == text
    assert time.perf_counter() - started_s < 2.0
