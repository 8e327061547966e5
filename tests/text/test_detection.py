"""The language of a text: by script, by letters, and the default where it says too little."""

import pytest

from serve_app.text.detection import detect_language
from serve_app.text.languages import LANGUAGES

ALL = tuple(LANGUAGES)

SAYINGS = {
    "en": ["The early bird catches the worm.", "Where is the nearest station, please?", "I would like a cup of tea."],
    "es": ["A quien madruga, Dios le ayuda.", "¿Dónde está la estación más cercana?", "Me gustaría tomar un té."],
    "fr": ["L'habit ne fait pas le moine.", "Où est la gare la plus proche ?", "Je voudrais une tasse de thé."],
    "de": ["Morgenstund hat Gold im Mund.", "Wo ist der nächste Bahnhof?", "Ich hätte gern eine Tasse Tee."],
    "it": ["Chi dorme non piglia pesci.", "Dov'è la stazione più vicina?", "Vorrei una tazza di tè, per favore."],
    "pt": ["Devagar se vai ao longe.", "Onde fica a estação mais próxima?", "Eu gostaria de uma xícara de chá."],
    "pl": [
        "Gdzie kucharek sześć, tam nie ma co jeść.",
        "Gdzie jest najbliższy dworzec?",
        "Poproszę filiżankę herbaty.",
    ],
    "tr": ["Damlaya damlaya göl olur.", "En yakın istasyon nerede?", "Bir fincan çay istiyorum, lütfen."],
    "ru": ["Тише едешь — дальше будешь.", "Где ближайшая станция?", "Мне чашку чая, пожалуйста."],
    "nl": ["Oost west, thuis best.", "Waar is het dichtstbijzijnde station?", "Ik wil graag een kopje thee."],
    "cs": ["Bez práce nejsou koláče.", "Kde je nejbližší nádraží?", "Dal bych si šálek čaje, prosím."],
    "ar": ["الصبر مفتاح الفرج.", "أين أقرب محطة؟", "أريد كوبا من الشاي."],
    "zh-cn": ["熟能生巧。", "最近的车站在哪里？", "我想要一杯茶。"],
    "hu": ["Ki korán kel, aranyat lel.", "Hol van a legközelebbi állomás?", "Kérek egy csésze teát."],
    "ko": ["가는 말이 고와야 오는 말이 곱다.", "가장 가까운 역이 어디예요?", "차 한 잔 주세요."],
    "ja": ["七転び八起き。", "一番近い駅はどこですか？", "お茶を一杯ください。"],
    "hi": ["जैसा बोओगे वैसा काटोगे।", "सबसे नज़दीकी स्टेशन कहाँ है?", "मुझे एक कप चाय चाहिए।"],
}


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in SAYINGS.items() for text in texts])
def test_language_of_a_saying_is_found(code: str, text: str) -> None:
    assert detect_language(text, ALL, "en") == code


@pytest.mark.parametrize("code", [code for code in ALL if LANGUAGES[code].scripts == ("LATIN",)])
def test_capitals_change_nothing(code: str) -> None:
    text = " ".join(SAYINGS[code])
    assert detect_language(text.upper(), ALL, "ja") == code


@pytest.mark.parametrize("text", ["", "   ", "12:30", "…", "🙂"])
@pytest.mark.parametrize("default", ["en", "ko"])
def test_text_without_letters_is_the_default(text: str, default: str) -> None:
    assert detect_language(text, ALL, default) == default


def test_name_in_another_script_does_not_decide() -> None:
    assert detect_language("제 이름은 Wolfgang이고 Salzburg에서 왔어요.", ALL, "en") == "ko"
    assert (
        detect_language("The Japanese word for tea, お茶, is read ocha, and people say it every day.", ALL, "de")
        == "en"
    )


def test_only_languages_of_the_model_are_found() -> None:
    assert detect_language(SAYINGS["fr"][1], ("en",), "en") == "en"
    assert detect_language(SAYINGS["ru"][1], ("en", "de"), "de") in ("en", "de")
    assert detect_language(SAYINGS["zh-cn"][1], ("ja", "en"), "en") == "ja"
    assert detect_language(SAYINGS["ko"][1], ("ja",), "ja") == "ja"
