import re
import time

import pytest
import regex  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.text.languages import LANGUAGES, expected_codes
from serve_app.text.normalize import normalize
from serve_app.text.sentences import SHORT_CODES, split_in_half, split_sentences

UNHURRIED = settings(deadline=None)  # the machine may be busy with other things
LANGUAGE = st.sampled_from(tuple(LANGUAGES))
FRAGMENTS = (
    "word a supercalifragilistic Dr. U.S. 3.14 x,y end. Yes! No? 好的。 東京は、 한국어 नमस्ते। é e\u0301e\u0301 क्षि "
    '"q." (p) ... https://a.b/c?d=1 - ; !'
)
MIXED = st.lists(st.sampled_from((*FRAGMENTS.split(" "), " ", "  ")), max_size=60).map("".join)


class TokenCounter:
    """Roughly a BPE: three letters a token. Remembers how much it was asked."""

    def __init__(self) -> None:
        self.num_calls = 0

    def __call__(self, text: str) -> int:
        self.num_calls += 1
        return (len(text) + 2) // 3


def split(text: str, language: str, *, max_tokens: int = 400, max_codes: float = 450) -> list[str]:
    return split_sentences(
        text,
        language,
        count_tokens=TokenCounter(),
        expected_codes=lambda piece: expected_codes(piece, language),
        max_tokens=max_tokens,
        max_codes=max_codes,
    )


def squeeze(text: str) -> str:
    return re.sub(r"\s+", "", text)


LONG = "This sentence is long enough to stand on its own."


@UNHURRIED
@given(MIXED, LANGUAGE, st.integers(1, 60))
def test_split_sentences_pieces_joined_are_the_text(text: str, language: str, max_tokens: int) -> None:
    pieces = split(text, language, max_tokens=max_tokens)
    assert squeeze("".join(pieces)) == squeeze(text)
    assert all(piece == piece.strip() and piece for piece in pieces)


@UNHURRIED
@given(st.text(max_size=80), LANGUAGE, st.integers(1, 20))
def test_split_sentences_of_any_text_loses_nothing(text: str, language: str, max_tokens: int) -> None:
    assert squeeze("".join(split(text, language, max_tokens=max_tokens))) == squeeze(text)


@UNHURRIED
@given(MIXED, LANGUAGE, st.integers(1, 40), st.integers(30, 200))
def test_split_sentences_pieces_hold_to_both_limits(text: str, language: str, max_tokens: int, max_codes: int) -> None:
    for piece in split(text, language, max_tokens=max_tokens, max_codes=max_codes):
        holds = TokenCounter()(piece) <= max_tokens and expected_codes(piece, language) <= max_codes
        assert holds or len(regex.findall(r"\X", piece)) == 1


@UNHURRIED
@given(MIXED, LANGUAGE, st.integers(1, 20))
def test_split_sentences_never_cuts_inside_a_grapheme(text: str, language: str, max_tokens: int) -> None:
    whole = squeeze(text)
    breaks = {match.end() for match in regex.finditer(r"\X", whole)}
    position = 0
    for piece in split(text, language, max_tokens=max_tokens):
        position += len(squeeze(piece))
        assert position in breaks


def test_split_sentences_keeps_a_conjunct_whole_and_cuts_marks_without_end() -> None:
    assert "स्ते" in split("नमस्ते।", "hi", max_tokens=1)
    marks = "a" + "\u0301" * 60
    assert max(len(piece) for piece in split(marks, "en", max_tokens=1)) <= 16


@UNHURRIED
@given(st.lists(st.text("abcdefg.,!?", min_size=1, max_size=40), max_size=30), st.integers(1, 30))
def test_split_sentences_cuts_inside_a_word_only_when_it_is_too_long(words: list[str], max_tokens: int) -> None:
    pieces = split(" ".join(words), "en", max_tokens=max_tokens, max_codes=1e9)
    parts = iter(part for piece in pieces for part in piece.split())
    for word in words:
        found = next(parts)
        if TokenCounter()(word) <= max_tokens:
            assert found == word
        while found != word:
            found += next(parts)


@UNHURRIED
@given(MIXED, LANGUAGE)
def test_split_sentences_twice_gives_the_same(text: str, language: str) -> None:
    assert split(text, language, max_tokens=20) == split(text, language, max_tokens=20)


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        (
            "en",
            ["Dr. J. R. Smith went to the U.S. on Jan. 5, 2020.", "He paid $3.14 for a thing at https://a.b/c.d?x!"],
        ),
        ("en", ['"Is that really what you think of it?" she asked me.', "Oh no, that is hardly what I meant then."]),
        (
            "en",
            ["He wanted approx. five of them, or more, no.", "The other man wanted fewer of them than he did."],
        ),
        ("en", ["1. The first of all the things we came to see.", "2. The second of all the things we came to see."]),
        ("de", ["Am 3. Oktober traf ich z.B. Hrn. Müller in Köln.", "Im Jahr 2020 war das alles noch ganz anders."]),
        ("es", ["El Sr. García y la Dra. Ruiz llegaron muy tarde.", "¿Qué vamos a hacer ahora con toda esta comida?"]),
        ("fr", ["Bonjour Mme. Moreau, comment allez-vous aujourd'hui?", "Je vais très bien et je vous en remercie."]),
        ("ru", ["Мы живём на ул. Ленина в доме номер пять давно.", "А он приехал сюда только в прошлом году летом."]),
        ("ko", ["오늘은 날씨가 아주 좋아서 산책을 나갔습니다.", "내일도 비가 오지 않으면 좋겠다고 생각해요."]),
        ("hi", ["आज मौसम बहुत अच्छा है और डॉ. शर्मा आए हैं।", "कल हम सब लोग मिलकर बाज़ार जाएँगे ना?"]),
        ("ar", ["كيف حالك اليوم يا صديقي العزيز وكيف حال أهلك؟", "أنا بخير والحمد لله وأتمنى لك يوما سعيدا."]),
    ],
)
def test_split_sentences_cuts_at_sentence_ends_only(language: str, sentences: list[str]) -> None:
    assert split(" ".join(sentences), language) == sentences


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        (
            "zh-cn",
            ["今天天气很好我们去公园散步吧。", '他说："明天我们再一起去看电影吧！"', "好的我也非常想去看那个电影。"],
        ),
        ("zh-cn", ["他刚才就是这么对我们大家说的。", '"明天我们再一起去看电影吧！"']),
        ("ja", ["今日は天気がいいので散歩に行きます。", '"はい、そうです。"と彼は小さな声で言いました。']),
    ],
)
def test_split_sentences_without_spaces_cuts_behind_closing_quotes(language: str, sentences: list[str]) -> None:
    assert split("".join(sentences), language) == sentences


def test_split_sentences_short_ones_join_a_neighbour() -> None:
    assert split(f"No. Yes. {LONG} {LONG}", "en") == [f"No. Yes. {LONG}", LONG]
    assert split(f"{LONG} Bye.", "en") == [f"{LONG} Bye."]
    assert split("No. Yes.", "en") == ["No. Yes."]
    assert expected_codes("No. Yes.", "en") < SHORT_CODES < expected_codes(LONG, "en")


def test_split_sentences_short_ones_stay_apart_where_they_do_not_fit() -> None:
    assert split(f"No. {LONG}", "en", max_tokens=TokenCounter()(LONG)) == ["No.", LONG]


def test_split_sentences_too_long_prefers_clauses_to_words() -> None:
    text = "When the rain had finally come to an end, we went out into the garden to look at the flowers"
    assert split(text, "en", max_tokens=25) == text.replace("end, ", "end,|").split("|")


def test_split_sentences_too_long_in_japanese_prefers_phrases() -> None:
    first, second = split("わたしたちは昨日あたらしい図書館で面白い本をたくさん借りました", "ja", max_tokens=7)[:2]
    assert first[-1] in "はいでを" and second[0] in "昨図面本借"


def test_split_sentences_of_nothing_is_empty() -> None:
    assert split("", "en") == split("  ", "en") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The quick brown fox, which is lazy, jumps over it. Really? " * 3_400, "en"),
        ("word another " * 15_400, "en"),
        ("a" * 200_000, "en"),
        ("你好世界" * 50_000, "zh-cn"),
        ("東京は大きい" * 33_333, "ja"),
        ("Dr. " * 50_000, "en"),
        (". " * 100_000, "en"),
        ('。"' * 100_000, "zh-cn"),
    ],
)
def test_split_sentences_of_200000_characters_is_near_linear(text: str, language: str) -> None:
    counter = TokenCounter()
    start = time.perf_counter()
    pieces = split_sentences(
        text, language, count_tokens=counter, expected_codes=lambda piece: expected_codes(piece, language)
    )
    assert time.perf_counter() - start < 20.0  # quadratic takes minutes
    assert counter.num_calls <= 4 * len(pieces)


@UNHURRIED
@given(MIXED, LANGUAGE)
def test_split_in_half_of_any_sentence_keeps_all_and_leaves_speech_on_both_sides(text: str, language: str) -> None:
    halves = split_in_half(text, language)
    if halves is None:
        assert len([cluster for cluster in regex.findall(r"\X", text) if any(map(str.isalnum, cluster))]) < 2
    else:
        assert squeeze("".join(halves)) == squeeze(text)
        assert all(any(char.isalnum() for char in half) for half in halves)


@pytest.mark.parametrize(
    ("sentence", "language", "halves"),
    [
        ("First of all we eat, then we drink a little", "en", ("First of all we eat,", "then we drink a little")),
        ("Yes, there is nothing at all to see in here", "en", ("Yes, there is nothing", "at all to see in here")),
        ("unbelievable", "en", ("unbeli", "evable")),
        ("今天天气很好，我们去散步", "zh-cn", ("今天天气很好，", "我们去散步")),
        ("크고 아름다운", "ko", ("크고", "아름다운")),
    ],
)
def test_split_in_half_cuts_at_the_best_place(sentence: str, language: str, halves: tuple[str, str]) -> None:
    assert split_in_half(sentence, language) == halves


@pytest.mark.parametrize("sentence", ["", "a", "a!", '"', "é", "... ?"])
def test_split_in_half_of_the_indivisible_is_none(sentence: str) -> None:
    assert split_in_half(sentence, "en") is None


def test_normalized_text_of_every_language_splits_within_the_limits() -> None:
    text = "Hello, 世界! 안녕하세요… नमस्ते। Привет — 2½ مرحبا؟ " * 60
    for language in LANGUAGES:
        clean = normalize(text, language).text
        pieces = split(clean, language)
        assert all(expected_codes(piece, language) <= 450 for piece in pieces)
        assert squeeze("".join(pieces)) == squeeze(clean)


def test_split_sentences_letter_of_marks_without_end_is_cut_all_the_same() -> None:
    text = "a" + "\u0323" * 1_200
    pieces = split_sentences(text, "en", count_tokens=len, expected_codes=len, max_tokens=400, max_codes=450)
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 400
