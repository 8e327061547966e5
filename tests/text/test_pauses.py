import time

import pytest

from serve_app.errors import EmptyText, RequestError
from serve_app.text.pauses import BLOCK_CHARS, Part, read


@pytest.mark.parametrize(
    ("text", "parts", "last_pause_s"),
    [
        ("Hello.", [("Hello.", 0.0)], 0.0),
        ("Hello.[pause:0.5]You.", [("Hello.", 0.0), ("You.", 0.5)], 0.0),
        ("[pause:1]Hello.[PAUSE: 2s ]", [("Hello.", 1.0)], 2.0),
        ("One [pause:1] ... [pause:0.25] two", [("One", 0.0), ("two", 1.25)], 0.0),
        ("[pause:0]One", [("One", 0.0)], 0.0),
        ("A [pause] and [pause:x].", [("A (pause) and (pause:x).", 0.0)], 0.0),
    ],
)
def test_parts_and_the_silence_around_them(text: str, parts: list[tuple[str, float]], last_pause_s: float) -> None:
    found = [(part.text, part.pause_s) for part in read(text, "en")]
    assert found == parts + ([("", last_pause_s)] if last_pause_s else [])


def test_part_is_what_it_would_be_alone() -> None:
    (first,), (second,) = read("Été \u00a0“x”", "fr"), read("ﬁne…", "fr")
    assert [*read("Été \u00a0“x”[pause:1]ﬁne…", "fr")] == [first, Part(second.text, 1.0)]


@pytest.mark.parametrize("text", ["[pause:1]", " [pause:1] ... [pause:2]", "..."])
def test_pauses_alone_are_no_speech(text: str) -> None:
    with pytest.raises(EmptyText):
        next(read(text, "en"))


@pytest.mark.parametrize("text", ["a[pause:10.1]", "[pause:999999999]a", "a" + "[pause:10]" * 61])
def test_pauses_are_bounded(text: str) -> None:
    with pytest.raises(RequestError, match=r"10 s at most|600 s together") as caught:
        next(read(text, "en"))
    assert caught.value.field == "text"


def test_long_text_is_read_block_by_block() -> None:
    sentence = "Nobody has ever counted these stones. "
    text = sentence * 2_000
    parts = list(read(text, "en"))
    assert " ".join(part.text for part in parts) == text.strip()
    assert all(BLOCK_CHARS - len(sentence) <= len(part.text) <= BLOCK_CHARS + len(sentence) for part in parts[:-1])


@pytest.mark.parametrize("text", ["word " * 20_000, "词" * 100_000, "a" * 100_000])
def test_text_without_sentence_ends_is_cut_too(text: str) -> None:
    parts = [part.text for part in read(text, "zh-cn")]
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")
    assert all(len(part) <= 2 * BLOCK_CHARS for part in parts)


def test_first_block_does_not_wait_for_the_last() -> None:
    started_s = time.perf_counter()
    next(read("Nobody has ever counted these stones. " * 20_000, "en"))
    assert time.perf_counter() - started_s < 0.5


@pytest.mark.parametrize("text", ["[" * 100_000, "[pause:" * 15_000, "[pause:1" * 15_000, "[ pause : 1 s" * 8_000])
def test_broken_marks_take_no_time(text: str) -> None:
    started_s = time.perf_counter()
    assert list(read(text + " a", "en"))
    assert time.perf_counter() - started_s < 2.0
