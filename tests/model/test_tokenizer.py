import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

from serve_app.errors import CheckpointError, RequestError, StartupError, UnsupportedLanguage
from serve_app.model.config import ModelConfig
from serve_app.model.make_vocab import VOCAB_FILE
from serve_app.model.tokenizer import Tokenizer

LANGUAGES = ModelConfig("any").languages

TEXTS = {
    "en": " The quick brown fox. It costs $20.50 on the 3rd, Dr. Smith: 14% off!",
    "es": "¿Había 50 soldados, señor? El 1er día.",
    "fr": "Il y avait 1.250 soldats l'été, à 20€ — ça va ?",
    "de": "Es gab 50 Soldaten über 12,5 Größen.",
    "it": "C'erano 50 soldati, perché?",
    "pt": "Havia 50 soldados, não?",
    "pl": "Było 50 żołnierzy, źdźbło.",
    "tr": "50 asker vardı. İstanbul ışığı.",
    "ru": "Там было 50 солдат. Ёж & г-н.",
    "nl": "Er waren 50 soldaten, vijf euro's.",
    "cs": "Bylo tam 50 vojáků. Příliš žluťoučký kůň.",
    "ar": "كان هناك 50 جنديًا، أليس كذلك؟",
    "zh-cn": "在12.5秒内有50名士兵，你好！",
    "hu": "50 katona volt, őrült tükör.",
    "ko": "50 명의 병사가 있었다. 안녕하세요?",
    "ja": "50人の兵士がいました。こんにちは、東京タワー!",
    "hi": "सैनिक थे। नमस्ते, आप कैसे हैं?",
}

ODD_TEXTS = [
    "",
    "9" * 5_000,
    "9" * 36,
    "9" * 30 + "." + "9" * 30,
    "1e999",
    "٣ and ١٢٣",
    "१२३",
    "1.1.1.1",
    "1,2,3.4.5",
    "$" * 20 + "5",
    "€5.5.5 £1,000,000.99",
    "99999999999999999999th 3.º 7ª",
    "1000000000000000000000000000번째",
    "½ ² ³ 1/2 12:30 -5",
    "\x00\ufffd\u200b",
    "1," * 500,
    "1 " * 500,
    "第" * 200,
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(VOCAB_FILE, LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_ids_equal_coquis(tokenizer: Tokenizer, language: str) -> None:
    text = TEXTS[language]
    expected = VoiceBpeTokenizer(VOCAB_FILE).encode(text.strip().lower(), language)
    assert tokenizer.encode(text, language) == expected
    assert tokenizer.count(text, language) == len(expected)


@pytest.mark.parametrize("language", LANGUAGES)
def test_vocabulary_covers_the_language(tokenizer: Tokenizer, language: str) -> None:
    assert tokenizer.unknown_characters(TEXTS[language], language) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", ODD_TEXTS, ids=lambda text: ascii(text[:12]))
def test_odd_text_is_encoded(tokenizer: Tokenizer, text: str, language: str) -> None:
    start_s = perf_counter()
    assert len(tokenizer.encode(text, language)) >= 1
    assert perf_counter() - start_s < 5.0


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("0123456789.,$€£-:/%"), max_size=40),
    language=st.sampled_from(LANGUAGES),
)
def test_any_text_is_encoded_or_refused(tokenizer: Tokenizer, text: str, language: str) -> None:
    try:
        ids = tokenizer.encode(text, language)
    except RequestError as error:
        assert error.field == "text"  # noqa: PT017
    else:
        assert all(0 <= token_id < 6_681 for token_id in ids)


def test_number_without_a_name_is_read_digit_by_digit(tokenizer: Tokenizer) -> None:
    assert tokenizer.prepare("7" * 37, "en") == " ".join(["seven"] * 37)


def test_hindi_numbers_are_read(tokenizer: Tokenizer) -> None:
    assert tokenizer.prepare("50 सैनिक", "hi") == "पचास सैनिक"
    assert tokenizer.prepare("५० सैनिक", "hi") == "पचास सैनिक"


def test_digits_of_other_scripts_are_read(tokenizer: Tokenizer) -> None:
    assert tokenizer.prepare("٥٠ جنديًا", "ar") == tokenizer.prepare("50 جنديًا", "ar")


@pytest.mark.parametrize("text", ["[ja] hello", "[STOP] hello", "[START][UNK][SPACE] hello", "[zh-cn]hello[en]"])
def test_special_tokens_cannot_be_typed(tokenizer: Tokenizer, text: str) -> None:
    special = {0, 1, 259, 260, 261, 262, 267, 284, 285, 286, 293, 294, 295, 297, 5022, 5023, 5412, 5753, 6152, 6680}
    ids = tokenizer.encode(text, "en")
    assert ids[0] == 259
    assert special.isdisjoint(ids[1:])


def test_unknown_characters_are_named_once(tokenizer: Tokenizer) -> None:
    assert tokenizer.unknown_characters("hi 😀 there ∮ 😀", "en") == ["😀", "∮"]


def test_japanese_characters_without_a_reading_are_named(tokenizer: Tokenizer) -> None:
    assert tokenizer.unknown_characters("こんにちは? 😀 𠮟る", "ja") == ["😀", "𠮟"]


def test_threads_get_what_one_alone_gets(tokenizer: Tokenizer) -> None:
    jobs = [(TEXTS[language] + " " + str(i), language) for i in range(8) for language in LANGUAGES]
    alone = [tokenizer.encode(*job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda job: tokenizer.encode(*job), jobs)) == alone


def test_unknown_language_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(UnsupportedLanguage, match="zh-cn") as caught:
        tokenizer.encode("hello", "xx")
    assert caught.value.field == "language"


def test_language_without_a_token_is_refused() -> None:
    with pytest.raises(CheckpointError, match="no token for the languages sv"):
        Tokenizer(VOCAB_FILE, ("en", "sv"))


def test_front_end_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cutlet", None)
    Tokenizer(VOCAB_FILE, ("en", "ko"))
    with pytest.raises(StartupError, match="pip install cutlet"):
        Tokenizer(VOCAB_FILE, ("en", "ja"))


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}'])
def test_file_that_is_no_vocabulary_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "vocab.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"vocab\.json"):
        Tokenizer(tmp_path / "vocab.json", ("en",))
