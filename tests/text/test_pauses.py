import time

import pytest

from serve_app.errors import EmptyText, RequestError
from serve_app.text.pauses import Part, read


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
    found = read(text, "en")
    assert [(part.text, part.pause_s) for part in found.parts] == parts
    assert found.last_pause_s == last_pause_s


def test_part_is_what_it_would_be_alone() -> None:
    assert read("Été \u00a0“x”[pause:1]ﬁne…", "fr").parts == (
        *read("Été \u00a0“x”", "fr").parts,
        Part(read("ﬁne…", "fr").parts[0].text, 1.0),
    )


@pytest.mark.parametrize("text", ["[pause:1]", " [pause:1] ... [pause:2]", "..."])
def test_pauses_alone_are_no_speech(text: str) -> None:
    with pytest.raises(EmptyText):
        read(text, "en")


@pytest.mark.parametrize("text", ["a[pause:10.1]", "[pause:999999999]a", "a" + "[pause:10]" * 61])
def test_pauses_are_bounded(text: str) -> None:
    with pytest.raises(RequestError, match=r"10 s at most|600 s together") as caught:
        read(text, "en")
    assert caught.value.field == "text"


def test_warnings_of_all_parts_are_told_once() -> None:
    assert len(read("a \u2603[pause:1] b \u2603 [pause:1] c", "en").warnings) == 1


@pytest.mark.parametrize("text", ["[" * 100_000, "[pause:" * 15_000, "[pause:1" * 15_000, "[ pause : 1 s" * 8_000])
def test_broken_marks_take_no_time(text: str) -> None:
    started_s = time.perf_counter()
    read(text + " a", "en")
    assert time.perf_counter() - started_s < 2.0
