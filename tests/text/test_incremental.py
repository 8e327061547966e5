"""A text that comes piece by piece is cut into the sentences of the whole, as soon as each is certain."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.text.incremental import IncrementalSentences
from serve_app.text.languages import LANGUAGES, expected_codes
from serve_app.text.normalize import normalize
from serve_app.text.sentences import SHORT_CODES, split_sentences

UNHURRIED = settings(deadline=None)
LANGUAGE = st.sampled_from(tuple(LANGUAGES))
FRAGMENTS = (
    "word a supercalifragilistic Dr. U.S. 3.14 x,y end. Yes! No? 好的。 東京は、 「はい。」 と 한국어 नमस्ते। é "
    'e\u0301e\u0301 "q." (p) ... https://a.b/c?d=1 - ; ! 7. "'
)
MIXED = st.lists(st.sampled_from((*FRAGMENTS.split(" "), " ", "  ", "\n\n", "\n- ", "\n")), max_size=80).map("".join)
ANY = st.one_of(MIXED, st.text(max_size=120))
LONG = "This sentence is long enough to stand on its own."
OTHER = "And here is one more that nobody has to wait for."


def cut(text: str, language: str, sizes: list[int]) -> list[str]:
    """What comes of a text in pieces of these sizes, again and again."""
    splitter, sentences, start, turn = IncrementalSentences(language), [], 0, 0
    while start < len(text):
        size = sizes[turn % len(sizes)]
        sentences += splitter.push(text[start : start + size])
        start, turn = start + size, turn + 1
    return [*sentences, *splitter.flush()]


def squeeze(text: str) -> str:
    return re.sub(r"\s+", "", text)


@UNHURRIED
@given(ANY, LANGUAGE, st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_sentences_joined_are_the_text(text: str, language: str, sizes: list[int]) -> None:
    sentences = cut(text, language, sizes)
    assert squeeze("".join(sentences)) == squeeze(text)
    assert all(sentence == sentence.strip() and sentence for sentence in sentences)


@settings(deadline=None, max_examples=400)
@given(ANY, LANGUAGE, st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_sentences_do_not_depend_on_how_the_text_came(text: str, language: str, sizes: list[int]) -> None:
    assert cut(text, language, sizes) == cut(text, language, [len(text) or 1])


@UNHURRIED
@given(st.lists(st.sampled_from(("settle", "flush", *FRAGMENTS.split(" "), " ")), max_size=60), LANGUAGE)
def test_nothing_is_lost_where_the_text_is_interrupted(steps: list[str], language: str) -> None:
    splitter, sentences = IncrementalSentences(language), []
    for step in steps:
        if step in ("settle", "flush"):
            sentences += getattr(splitter, step)()
        else:
            sentences += splitter.push(step)
    sentences += splitter.flush()
    assert not splitter.has_text
    assert squeeze("".join(sentences)) == squeeze("".join(step for step in steps if step not in ("settle", "flush")))


ENGLISH = st.lists(
    st.sampled_from(
        (LONG, OTHER, "Dr. J. R. Smith went to the U.S. on Jan. 5, 2020, for a rest.", "Yes.", "He is no. 7!")
    ),
    min_size=1,
    max_size=12,
).map(" ".join)


@UNHURRIED
@given(ENGLISH, st.integers(1, 30))
def test_sentences_are_those_of_the_whole_text_but_for_short_ones_at_its_ends(text: str, size: int) -> None:
    """The first does not wait for a short last one; short ones at the end join the one before together."""
    whole = split_sentences(
        text, "en", count_tokens=len, expected_codes=lambda piece: expected_codes(piece, "en"), max_tokens=10_000
    )
    while len(whole) > 1 and expected_codes(whole[-1], "en") < SHORT_CODES:
        whole[-2:] = [" ".join(whole[-2:])]
    sentences = cut(text, "en", [size])
    if len(sentences) == 2 and expected_codes(sentences[1], "en") < SHORT_CODES:
        sentences = [" ".join(sentences)]
    assert sentences == whole


def test_first_sentence_leaves_with_the_next_ones_first_letter() -> None:
    splitter = IncrementalSentences("en")
    assert splitter.push(LONG) == []
    assert splitter.push(" ") == []
    assert splitter.push("A") == [LONG]


def test_later_sentence_waits_until_what_follows_can_stand_alone() -> None:
    splitter = IncrementalSentences("en")
    assert splitter.push(f"{LONG} {LONG} ") == [LONG]
    assert splitter.push("Yes. ") == []
    assert splitter.flush() == [f"{LONG} Yes."]
    assert splitter.push(f"{LONG} {OTHER} {LONG[:40]}") == [LONG, OTHER]


@pytest.mark.parametrize("text", ["The winner of the whole long race was no. ", "What it cost me was about $3."])
def test_what_may_go_on_is_no_end(text: str) -> None:
    splitter = IncrementalSentences("en")
    assert splitter.push(text) == []
    assert splitter.push("5 and more.") == []
    assert splitter.flush() == [f"{text}5 and more."]


def test_abbreviation_is_no_end_however_long_the_text_stops() -> None:
    splitter = IncrementalSentences("en")
    assert splitter.push("I would like you to meet my old friend Dr. ") == []
    assert splitter.settle() == []
    assert splitter.push("Smith.") == []
    assert splitter.settle() == ["I would like you to meet my old friend Dr. Smith."]


def test_settling_gives_out_what_is_complete() -> None:
    splitter = IncrementalSentences("en")
    assert splitter.push(LONG) == []
    assert splitter.settle() == [LONG]
    assert splitter.push(f"{LONG} And then the") == [LONG]
    assert splitter.push(" rest came to an end. But") == []
    assert splitter.settle() == ["And then the rest came to an end."]
    assert splitter.has_text


def test_lists_and_paragraphs_end_sentences_without_marks() -> None:
    text = "What you need for this old recipe\n\n- two pounds of ripe tomatoes, peeled\n- an onion, finely chopped\n"
    pieces = cut(text, "en", [3])
    assert pieces == [
        "What you need for this old recipe",
        "- two pounds of ripe tomatoes, peeled",
        "- an onion, finely chopped",
    ]
    assert ". ".join(normalize(piece, "en").text for piece in pieces) == normalize(text, "en").text


def test_text_without_an_end_is_cut_where_a_reader_breathes() -> None:
    text = "and so it went on, as such things do, " * 40
    pieces = cut(text, "en", [5])
    assert len(pieces) > 2 and all(piece.endswith(",") for piece in pieces)
    assert all(expected_codes(piece, "en") < 450 for piece in pieces)


def test_a_pause_is_never_cut() -> None:
    text = ("on and on it goes without an end " * 12)[:-1] + "[pause: 0.5] " + "and on it goes " * 30
    for shift in range(60):
        pieces = cut("x" * shift + " " + text, "en", [7])
        assert sum("[pause: 0.5]" in piece for piece in pieces) == 1
