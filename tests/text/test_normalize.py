import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.errors import EmptyText
from serve_app.text.languages import LANGUAGES
from serve_app.text.normalize import normalize

UNHURRIED = settings(deadline=None)  # the machine may be busy with other things
LANGUAGE = st.sampled_from(tuple(LANGUAGES))


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Hello  “world”…", "en", 'Hello "world"...'),
        ("It’s “fine” — really", "en", 'It\'s "fine" - really'),
        ("10–20, −5", "en", "10-20, -5"),
        ("a\u200bb \ufeffc\u00add \u202eno\u202c", "en", "ab cd no"),
        ("tab\there\x00and\x07there\u00a0\u3000x", "en", "tab here and there x"),
        ("Ｈｅｌｌｏ　１２３％", "en", "Hello 123%"),
        ("𝓗𝓮𝓵𝓵𝓸 ﬁne", "en", "Hello fine"),
        ("Schön", "de", "Schön"),
        ("한", "ko", "한"),
        ("Wait!!!!!!! Ok,,, so .....", "en", "Wait!!! Ok, so..."),
        ("Vraiment ? Oui !", "fr", "Vraiment? Oui!"),
    ],
)
def test_normalize_looks_of_text_become_plain(text: str, language: str, expected: str) -> None:
    result = normalize(text, language)
    assert result.text == expected
    assert result.warnings == ()


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("2½ cups", "en", "2 1/2 cups"),
        ("10³", "en", "10 3"),
        ("H₂O", "en", "H 2 O"),
        ("10㎏ 5㎡", "en", "10 kg 5 m 2"),
        ("№5", "ru", "номер 5"),
        ("№5", "en", "number 5"),
        ("5℃", "ja", "5度"),
        ("ﺍﻟﺴﻼﻡ", "ar", "السلام"),
        ("ﹰأ", "ar", unicodedata.normalize("NFC", "ًأ")),
        ("١٢٣٫٥ ســـلام", "ar", "123,5 سلام"),
        ("१२३ नमस्ते॥", "hi", "123 नमस्ते।"),
        ("ｶﾞｷﾞ ﾊﾟｿｺﾝ", "ja", "ガギ パソコン"),
        ("ㅋㅋㅋ", "ko", "ㅋㅋㅋ"),
        ("髙橋さんと𠮷田さん", "ja", "高橋さんと吉田さん"),
        ("1º ª", "es", "1º ª"),
    ],
)
def test_normalize_compatibility_characters_keep_how_they_read(text: str, language: str, expected: str) -> None:
    assert normalize(text, language).text == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("30°", "ja", "30度"),
        ("1 + 2 = 3", "de", "1 plus 2 gleich 3"),
        ("1,234 items", "en", "1,234 items"),
        ("10~20명, 안녕~", "ko", "10-20명, 안녕"),
    ],
)
def test_normalize_signs_the_cleaners_misread_become_words(text: str, language: str, expected: str) -> None:
    assert normalize(text, language).text == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("你好，世界。“好”《红楼梦》——真的？", "zh-cn", '你好，世界。"好""红楼梦" - 真的？'),
        ("「はい」、東京・大阪。", "ja", '"はい"、東京・大阪。'),
        ("Hello。World，you！", "en", "Hello. World, you!"),
        ("¿Qué? ¡Sí!", "es", "¿Qué? ¡Sí!"),
        ("كيف حالك؟ جيد، شكرا؛", "ar", "كيف حالك؟ جيد، شكرا؛"),
    ],
)
def test_normalize_punctuation_keeps_its_meaning(text: str, language: str, expected: str) -> None:
    assert normalize(text, language).text == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Title\n\nBody text\r\nwraps", "en", "Title. Body text wraps"),
        ("Done.\n\n\n“Quoted?”\n\nEnd", "en", 'Done. "Quoted?" End'),
        ("# Head\n- one\n- two\n---\n1. three", "en", "Head. one. two. 1. three"),
        ("一\n\n二", "zh-cn", "一。 二"),
        ("एक\n\nदो", "hi", "एक। दो"),
        ("a\u2029b\u2028c", "en", "a. b c"),
    ],
)
def test_normalize_paragraph_end_becomes_sentence_end(text: str, language: str, expected: str) -> None:
    assert normalize(text, language).text == expected


def test_normalize_emoji_are_left_out_and_reported() -> None:
    result = normalize("Hi 😀😀 there 👨‍👩‍👧 1️⃣ ©", "en")
    assert result.text == "Hi there 1"
    assert len(result.warnings) == 1
    assert all(part in result.warnings[0] for part in ("😀 (2)", "👨 (1)", "© (1)"))


def test_normalize_lone_surrogate_is_reported_in_printable_form() -> None:
    result = normalize("a \ud800 b", "en")
    assert result.text == "a b"
    assert "U+D800 (1)" in result.warnings[0]
    result.warnings[0].encode()


def test_normalize_many_unreadable_kinds_give_one_short_warning() -> None:
    (warning,) = normalize("a " + "".join(chr(code) for code in range(0x1F600, 0x1F640)), "en").warnings
    assert "and 54 more" in warning


def test_normalize_letters_of_another_script_become_latin_and_are_reported() -> None:
    result = normalize("안녕 世界", "ko")
    assert result.text == "안녕 ShiJie"
    assert "Korean" in result.warnings[0] and "世 界" in result.warnings[0]
    assert normalize("Достоевский in Ελλάδα", "fr").text == "Dostoevskiy in Ellada"
    assert normalize("Ærøskøbing", "en").text == "Aeroskobing"
    assert normalize("コーヒー、々、〇", "ja").warnings == ()


def test_normalize_square_brackets_cannot_spell_a_special_token() -> None:
    assert normalize("[STOP][ko] hi", "en").text == "(STOP)(ko) hi"


@pytest.mark.parametrize("text", ["", " \n\t", "...", "😀", "\u200b\ufeff", "\u3164", "!?", "---\n\n---"])
def test_normalize_without_anything_to_say_raises_empty_text(text: str) -> None:
    with pytest.raises(EmptyText) as caught:
        normalize(text, "en")
    assert caught.value.field == "text"


@UNHURRIED
@given(st.text(min_size=1).map(lambda text: "a" + text), LANGUAGE)
def test_normalize_any_text_is_one_clean_line(text: str, language: str) -> None:
    result = normalize(text, language).text
    assert result == " ".join(result.split())
    assert unicodedata.is_normalized("NFC", result)
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "So") for char in result if char != "°")


@UNHURRIED
@given(st.text(st.characters(categories=("Lu", "Ll", "Lt", "Lo", "Nd")), min_size=1), LANGUAGE)
def test_normalize_letters_and_digits_never_vanish(text: str, language: str) -> None:
    silent = "\u115f\u1160\u3164\uffa0\u0640"  # letters by category, but Hangul's fillers and Arabic's stretching
    plain = ((char, unicodedata.normalize("NFKC", char)[0]) for char in text)
    letters = [char for char, first in plain if char not in silent and first not in silent and first.isalnum()]
    spoken = unicodedata.normalize("NFC", "".join(letters))
    num_jamo = sum("\u1100" <= char <= "\u11ff" or "\uffa1" <= char <= "\uffdc" for char in spoken)  # may join up
    result = normalize("a" + spoken, language).text
    assert sum(map(str.isalnum, result)) >= 1 + sum(map(str.isalnum, spoken)) - num_jamo


@UNHURRIED
@given(st.text(st.sampled_from("aB1é .,!?-~\n\"'()€$½…—日本한あ。、「」\u200b😀*#"), min_size=1), LANGUAGE)
def test_normalize_twice_changes_nothing_more(text: str, language: str) -> None:
    once = normalize("a" + text + "b", language).text
    assert normalize(once, language).text == once


@pytest.mark.parametrize(
    "part",
    ["Dr. Smith’s “idea” — 2½ times… 😀\n\n- no!!!\n", " ", "\n ", "- ", "--", "~", ". ", ",", "( ", "½", "$ ", "\r"],
)
def test_normalize_long_text_is_quick(part: str) -> None:
    start = time.perf_counter()
    normalize("a" + part * (200_000 // len(part)) + "b", "ko")
    assert time.perf_counter() - start < 10.0  # quadratic takes minutes
