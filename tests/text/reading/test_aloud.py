"""What texts become before a model's own cleaners see them."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.errors import EmptyText
from serve_app.model.make_vocab import VOCAB_FILE
from serve_app.model.pronunciation import PRONUNCIATIONS_FILE, Pronunciations
from serve_app.model.source import MINI_DIR
from serve_app.model.tokenizer import UNKNOWN, UNSPELLABLE_MARK, Tokenizer
from serve_app.text.languages import LANGUAGES, primary_subtag
from serve_app.text.pauses import read
from serve_app.text.reading.examples import examples
from serve_app.text.reading.numerals import cardinal, ordinal, year
from tests.text.reading.truth import SAID

SIGNS = "%$€£¥₩₹₺₽°&@#/\x1f"
TRUTHS = [
    pytest.param(language, *row, id=f"{language}-{n}") for language in SAID for n, row in enumerate(SAID[language])
]
LANGUAGE = st.sampled_from(tuple(LANGUAGES))
PIECES = st.sampled_from(
    [
        *"0123456789" * 3,
        *" .,:-/%$€£¥()+'°&@#ºhkmgsTnÄжعह日가²½\n_~",
        "Mr.",
        "Uhr",
        "May",
        "st",
        "www.",
        ".com",
        "http://",
        "г.",
    ]
)


def said(text: str, language: str) -> str:
    return " ".join(part.text for part in read(text, language))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(VOCAB_FILE, tuple(LANGUAGES))


@pytest.mark.parametrize(("language", "text", "expected"), TRUTHS)
def test_text_becomes_the_words_it_is_said_in(language: str, text: str, expected: str) -> None:
    assert said(text, language) == expected


@pytest.mark.parametrize(("language", "text", "expected"), TRUTHS)
def test_nothing_of_it_is_unknown_or_left_to_the_cleaners(
    tokenizer: Tokenizer, language: str, text: str, expected: str
) -> None:
    assert not any(char.isdigit() or char in SIGNS for char in expected)
    assert tokenizer.unknown_characters(expected, language) == []
    prepared = tokenizer.prepare(expected, language)
    assert UNKNOWN not in prepared and UNSPELLABLE_MARK not in prepared


def test_every_language_has_its_truths() -> None:
    assert list(SAID) and set(SAID) == set(LANGUAGES)
    assert all(len(rows) >= 10 for rows in SAID.values())
    assert [(language, text) for language, text, _ in examples()] == [
        (each, row[0]) for each in SAID for row in SAID[each]
    ]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "He left. 3 came back.", "He left. Three came back."),
        ("en", "At 3 p.m. It rains.", "At three p m. It rains."),
        ("en", "Pi is 3.14.", "Pi is three point one four."),
        ("en", "No. 5 said no. Yes.", "Number five said no. Yes."),
        ("en", "a 24/7 shop, 5 GBP, USD 3", "a twenty-four seven shop, five pounds, three dollars"),
        ("en", "4111 1111 1111 1111", "Four one one one, one one one one, one one one one, one one one one"),
        ("en", "13800138000", "One three eight zero zero one three eight zero zero zero"),
        ("en", "10000000000", "Ten billion"),
        ("en", "5 m² of 2 m³", "Five square meters of two cubic meters"),
        ("en", "99/99/2024", "Ninety-nine slash ninety-nine slash twenty twenty-four"),
        ("de", "Es war 1990. Dann", "Es war neunzehnhundertneunzig. Dann"),
        ("de", "Ein Euro, 1 kg, 21 Tage", "Ein Euro, ein Kilogramm, einundzwanzig Tage"),
        ("ru", "2 минуты, 21 минута, 1 кг", "Две минуты, двадцать одна минута, один килограмм"),
        ("zh-cn", "2024年共100001人", "二零二四年共十万零一人"),
        ("zh-cn", "10010", "一万零一十"),
        ("ar", "2000", "ألفان"),
        ("xx", "5 km", "5 km"),
        ("pl", "0. piętro, 3. klasa, 2. miejsce", "Zero piętro, trzecia klasa, drugie miejsce"),
        ("pl", "W 0000 roku", "W zerowym roku"),
        ("cs", "1. místo, 2,5 km", "První místo, dvě celé pět kilometru"),
        (
            "es",
            "El Sr. López, 0º, 21 casas, 200 personas",
            "El señor López, cero, veintiuna casas, doscientas personas",
        ),
        ("es", "En 1999 había 2 mapas", "En mil novecientos noventa y nueve había dos mapas"),
        ("pt", "O Sr. Silva tem 2 casas há 2 dias", "O senhor Silva tem duas casas há dois dias"),
        ("it", "il 3° posto, 1 casa", "il terzo posto, una casa"),
        ("hu", "www.pelda.hu.", "w w w pont pelda pont h u."),
        ("hu", "2024. 10. 03. és 2 alma", "Kétezer-huszonnégy október harmadika és két alma"),
        ("de", "Es steht 3:2.", "Es steht drei zu zwei."),
        ("zh-cn", "2个A4，比分3:2", "两个 A 四，比分三比二"),
        ("ja", "4時、7時30分、4月20日、3本、3:2", "ヨジ、シチジ三ジュップン、シガツ二十日、サンボン、三たい二"),
        ("ja", "Łódź", "Lodz"),
    ],
)
def test_text_in_detail(language: str, text: str, expected: str) -> None:
    assert said(text, language) == expected


def test_mini_knows_the_words_of_english_numbers() -> None:
    lexicon = Pronunciations.read(MINI_DIR / PRONUNCIATIONS_FILE).words
    text = " ".join(expected for _, expected in SAID["en"][:10]).lower()
    words = {word.strip(".,;:") for word in text.replace("-", " ").split()}
    assert (
        sorted(word for word in words if word.isascii() and word not in lexicon and word not in ("covid", "mp")) == []
    )


@settings(deadline=None, max_examples=300)
@given(st.lists(PIECES, max_size=60).map(lambda pieces: "a " + "".join(pieces)), LANGUAGE)
def test_any_text_keeps_no_figure_and_no_sign(text: str, language: str) -> None:
    assert not any(char.isdigit() or char in SIGNS.replace("/", "") for char in said(text, language))


@settings(deadline=None, max_examples=100)
@given(st.text(min_size=1, max_size=80), LANGUAGE)
def test_any_text_at_all_keeps_no_figure(text: str, language: str) -> None:
    try:
        assert not any(char.isdigit() for char in said(text, language))
    except EmptyText:
        assert not any(char.isascii() and char.isalnum() for char in text)


@pytest.mark.parametrize("language", ["en", "ru", "zh-cn"])
@pytest.mark.parametrize(
    "part",
    [
        "1",
        "1 ",
        "1-",
        "1.",
        "1,",
        "1/",
        "1:",
        "(1)",
        "$1",
        "1%",
        "1 km ",
        "a@",
        "www.",
        "a.b",
        "Mr. ",
        "http://",
        "+1",
        "1'",
    ],
)
def test_long_text_is_quick(part: str, language: str) -> None:
    started_s = time.perf_counter()
    assert said("a " + part * (20_000 // len(part)), language)
    assert time.perf_counter() - started_s < 5.0  # quadratic takes minutes


@pytest.mark.parametrize("language", sorted({primary_subtag(code) for code in LANGUAGES}))
@pytest.mark.parametrize("say", [cardinal, ordinal, year])
def test_every_number_has_words(say: Callable[[int, str], str], language: str) -> None:
    for value in (*range(130), *range(990, 1_020), 1_999, 2_000, 9_999, 10_000, 12_345, 10**6, 10**9 - 1):
        said_value = say(value, language)
        assert said_value.strip() and not any(map(str.isdigit, said_value)), value
