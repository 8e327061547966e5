import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.errors import RequestError
from serve_app.speech.mix import MAX_PARTS, parse_voice


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("anna", (("anna", 1.0),)),
        ("Claribel Dervla", (("Claribel Dervla", 1.0),)),
        ("anna(2)", (("anna", 2.0),)),
        ("anna(2)+ben(1)", (("anna", 2.0), ("ben", 1.0))),
        ("anna (.5) + Claribel Dervla", (("anna", 0.5), ("Claribel Dervla", 1.0))),
        ("anna(0.000001)+ben", (("anna", 1e-6), ("ben", 1.0))),
        ("anna(0)", None),
        ("anna(-1)+ben", None),
        ("anna(inf)", None),
        ("anna(nan)", None),
        ("anna(٣)", None),
        ("anna(9999999999999)", None),
        ("anna()", None),
        ("+anna", None),
        ("(1)", None),
    ],
)
def test_voice_is_read_as_names_and_weights(text: str, parts: tuple[tuple[str, float], ...] | None) -> None:
    if parts is None:
        with pytest.raises(RequestError, match=r"anna\(2\)\+ben\(1\)"):
            parse_voice(text)
    else:
        assert parse_voice(text) == parts


def test_more_voices_than_five_are_refused() -> None:
    assert len(parse_voice("+".join("abcde"))) == MAX_PARTS
    with pytest.raises(RequestError, match="5"):
        parse_voice("+".join("abcdef"))


@given(st.text("ab+()1. ", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parts = parse_voice(text)
    except RequestError:
        return
    assert 1 <= len(parts) <= MAX_PARTS
    assert all(weight > 0.0 for _, weight in parts)
