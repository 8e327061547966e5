import pytest

from serve_app.errors import UnsupportedLanguage
from serve_app.text.languages import (
    CODES_PER_S,
    LANGUAGES,
    default_language,
    expected_codes,
    find_language,
    resolve_language,
)

SUPPORTED = tuple(LANGUAGES)


def test_table_has_the_languages_of_xtts_v2_in_its_order() -> None:
    assert " ".join(SUPPORTED) == "en es fr de it pt pl tr ru nl cs ar zh-cn hu ko ja hi"


@pytest.mark.parametrize(
    ("requested", "code"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("en-US", "en"),
        ("en_US.UTF-8", "en"),
        (" pt-BR ", "pt"),
        ("zh", "zh-cn"),
        ("zh-cn", "zh-cn"),
        ("zh_CN", "zh-cn"),
        ("zh-TW", "zh-cn"),
        ("zh-Hans-CN", "zh-cn"),
        ("cmn", "zh-cn"),
        ("ko-KR", "ko"),
    ],
)
def test_resolve_language_with_tag_variants_finds_the_checkpoints_code(requested: str, code: str) -> None:
    assert resolve_language(requested, SUPPORTED) == code


def test_resolve_language_with_regional_checkpoint_prefers_the_exact_tag() -> None:
    assert resolve_language("pt-BR", ("pt-pt", "pt-br")) == "pt-br"
    assert resolve_language("pt", ("pt-pt", "pt-br")) == "pt-pt"
    assert resolve_language("ZH", ("zh",)) == "zh"


@pytest.mark.parametrize("requested", ["", "-", "xx", "english", "z", "e n", "x" * 10_000])
def test_resolve_language_unknown_names_field_and_choices(requested: str) -> None:
    with pytest.raises(UnsupportedLanguage) as caught:
        resolve_language(requested, ("en", "ko"))
    assert caught.value.field == "language"
    assert "en, ko" in caught.value.message
    assert len(caught.value.message) < 200


def test_default_language_is_korean_or_the_models_first() -> None:
    assert default_language(SUPPORTED) == "ko"
    assert default_language(("de", "en")) == "de"


def test_find_language_without_entry_is_none() -> None:
    assert find_language("vi") is None
    assert find_language("zh") is LANGUAGES["zh-cn"]


@pytest.mark.parametrize(
    ("text", "language", "shortest_s", "longest_s"),
    [
        ("The quick brown fox jumps over the lazy dog near the river bank.", "en", 3.5, 7.5),
        ("오늘은 날씨가 아주 좋아서 공원에 산책하러 나갔습니다.", "ko", 3.0, 7.5),
        ("今天天气很好，我们一起去公园散步吧。", "zh-cn", 2.8, 6.5),
        ("今日はとても天気がいいので、公園へ散歩に行きました。", "ja", 3.0, 8.0),
        ("आज मौसम बहुत अच्छा है इसलिए हम पार्क में टहलने गए।", "hi", 3.0, 8.0),
    ],
)
def test_expected_codes_of_a_plain_sentence_is_near_a_readers_time(
    text: str, language: str, shortest_s: float, longest_s: float
) -> None:
    assert shortest_s <= expected_codes(text, language) / CODES_PER_S <= longest_s


def test_expected_codes_adds_up_but_for_the_overhead() -> None:
    overhead = expected_codes("", "en")
    whole = expected_codes("One sentence. Another one, with 3 words.", "en")
    parts = expected_codes("One sentence.", "en") + expected_codes(" Another one, with 3 words.", "en")
    assert whole == pytest.approx(parts - overhead)


@pytest.mark.parametrize("language", [*SUPPORTED, "vi"])
def test_expected_codes_of_digits_exceeds_that_of_letters(language: str) -> None:
    assert expected_codes("1234567890", language) > expected_codes("abcdefghij", language) > 0


@pytest.mark.parametrize("language", SUPPORTED)
def test_expected_codes_at_coquis_character_limit_stays_below_the_models_end(language: str) -> None:
    letter = {"ru": "д", "ar": "م", "zh-cn": "好", "ko": "한", "ja": "日", "hi": "क"}.get(language, "a")
    codes = expected_codes(letter * LANGUAGES[language].coqui_char_limit, language)
    assert 300 < codes < 602
