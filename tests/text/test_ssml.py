"""SSML: what each element becomes, and what is refused, hostile XML first."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.errors import EmptyText, RequestError
from serve_app.text.ssml import MAX_DEPTH, MAX_PARTS, SsmlPart, read_ssml, without_tags


def speak(inside: str) -> tuple[SsmlPart, ...]:
    return read_ssml(f"<speak>{inside}</speak>", "en")


@pytest.mark.parametrize(
    ("inside", "parts"),
    [
        ("Hello.", [("Hello.", 0.0, 1.0)]),
        ("a &amp; b &lt; &#65;", [("a & b < A", 0.0, 1.0)]),
        ("One<break time='500ms'/>two", [("One", 0.0, 1.0), ("two", 0.5, 1.0)]),
        ("One<break time='1.5s'/><break/>two", [("One", 0.0, 1.0), ("two", 2.0, 1.0)]),
        ("One<break strength='strong'/>two", [("One", 0.0, 1.0), ("two", 1.0, 1.0)]),
        ("<break time='1s'/>One", [("One", 1.0, 1.0)]),
        ("One.<break time='250ms'/>", [("One.[pause:0.250]", 0.0, 1.0)]),
        ("One<break time='0s'/>...<break time='1s'/>two", [("One", 0.0, 1.0), ("two", 1.0, 1.0)]),
        ("a<prosody rate='slow'>b</prosody>c", [("a", 0.0, 1.0), ("b", 0.0, 0.8), ("c", 0.0, 1.0)]),
        ("<prosody rate='150%'>a</prosody>", [("a", 0.0, 1.5)]),
        ("<prosody rate='1.2'>a</prosody>", [("a", 0.0, 1.2)]),
        ("<prosody rate='fast'><prosody rate='80%'>a</prosody></prosody>", [("a", 0.0, 1.0)]),
        ("<p>One</p><p><s>two</s><s>three</s></p>", [("One\n\ntwo\n\nthree", 0.0, 1.0)]),
        ("<sub alias='World Wide Web'>WWW</sub>!", [("World Wide Web!", 0.0, 1.0)]),
    ],
)
def test_element_becomes_parts(inside: str, parts: list[tuple[str, float, float]]) -> None:
    assert [(part.text, part.pause_s, part.speed) for part in speak(inside)] == parts


@pytest.mark.parametrize(
    ("kind", "held", "said"),
    [
        ("characters", "B2B", "B two B"),
        ("spell-out", "a@b", "a at b"),
        ("digits", "0471", "zero four seven one"),
        ("telephone", "+49 30-12", "+ four nine, three zero, one two"),
        ("cardinal", "1,234", "one thousand two hundred and thirty-four"),
        ("ordinal", "21", "twenty-first"),
        ("ordinal", "no number", "no number"),
    ],
)
def test_say_as(kind: str, held: str, said: str) -> None:
    (part,) = speak(f"<say-as interpret-as='{kind}'>{held}</say-as>")
    assert part.text == said


@pytest.mark.parametrize(("kind", "held"), [("date", "10/3/2024"), ("time", "14:30")])
def test_say_as_of_dates_and_times_leaves_no_figure(kind: str, held: str) -> None:
    (part,) = speak(f"<say-as interpret-as='{kind}'>{held}</say-as>")
    assert not any(char.isdigit() for char in part.text)


def test_say_as_is_said_in_the_language() -> None:
    (part,) = read_ssml("<speak><say-as interpret-as='ordinal'>3</say-as></speak>", "zh-cn")
    assert part.text == "第三"


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {each} "{f"&{before};" * 10}">' for before, each in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><speak>&i;</speak>"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "document type"),
        ('<!DOCTYPE s SYSTEM "file:///etc/passwd"><speak>a</speak>', "document type"),
        ("<speak>&xxe;</speak>", "well-formed"),
        ("<speak>" + "<p>" * 10_000, f"more than {MAX_DEPTH} deep"),
        ("<speak>" + "a<break/>" * (MAX_PARTS + 1) + "</speak>", "breaks|parts"),
        ("<speak>a", "well-formed"),
        ("<speak>a</p></speak>", "well-formed"),
        ("a", "well-formed"),
        ("", "well-formed"),
        ("<p>a</p>", "<speak>"),
        ("<speak><speak>a</speak></speak>", "<speak>"),
        ("<speak><audio src='http://a/b'/>a</speak>", "<audio> is not understood; speak, p, s"),
        ("<speak><prosody pitch='high'>a</prosody></speak>", "'pitch'"),
        ("<speak><prosody>a</prosody></speak>", "needs the attribute rate"),
        ("<speak><prosody rate='5'>a</prosody></speak>", "between 0.5 and 2"),
        ("<speak><prosody rate='nan'>a</prosody></speak>", "not understood"),
        ("<speak>a<break time='11s'/></speak>", "10 s at most"),
        ("<speak>a<break time='1e9s'/></speak>", "500ms"),
        ("<speak>a<break strength='odd'/></speak>", "x-weak"),
        ("<speak>a<break>b</break></speak>", "holds no text"),
        ("<speak>" + "a<break time='10s'/>" * 61 + "</speak>", "600 s together"),
        ("<speak><say-as interpret-as='odd'>a</say-as></speak>", "cardinal"),
        ("<speak><say-as interpret-as='date'><s>a</s></say-as></speak>", "holds text alone"),
        ("<speak><?php a ?>a</speak>", "php"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, message: str) -> None:
    started_s = time.perf_counter()
    with pytest.raises(RequestError, match=message) as caught:
        read_ssml(text, "en")
    assert caught.value.field == "text"
    assert time.perf_counter() - started_s < 1.0


@pytest.mark.parametrize("inside", ["", "...", "<break/>", "<sub alias=''>a</sub>"])
def test_nothing_to_say_is_empty(inside: str) -> None:
    with pytest.raises(EmptyText):
        speak(inside)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["<speak>", "</speak>", "<p>", "</p>", "<break/>", "a", "&", "<", "\ud800", "\0"])))
def test_any_text_is_read_or_refused(pieces: list[str]) -> None:
    try:
        assert read_ssml("".join(pieces), "en")
    except RequestError as error:
        assert error.field == "text"  # noqa: PT017


@pytest.mark.parametrize("text", ["<" * 200_000, "<a" * 100_000, "<speak>" + "<s>a</s>" * 20_000 + "</speak>"])
def test_long_text_is_quick(text: str) -> None:
    started_s = time.perf_counter()
    without_tags(text)
    try:
        assert read_ssml(text, "en")
    except RequestError as error:
        assert "well-formed" in error.message  # noqa: PT017
    assert time.perf_counter() - started_s < 2.0
