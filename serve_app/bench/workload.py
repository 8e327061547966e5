"""What both sides of the bench speak: texts and the number of codes of each. Knows no model."""

from collections.abc import Collection
from dataclasses import dataclass

from serve_app.errors import SettingsError

TEXTS = (
    ("en", "The train to the coast leaves at nine, and the next one not before noon."),
    ("de", "Bitte schließen Sie die Tür, es zieht."),
    ("fr", "Nous avons marché longtemps le long du canal sans rencontrer personne d'autre que les oiseaux du matin."),
    ("ko", "오늘 오후에는 비가 올 것 같으니 우산을 챙기세요."),
    ("es", "Gracias por llamar, en un momento le atenderá uno de nuestros compañeros."),
    ("ja", "次の駅で降りて、左に曲がってください。"),
    (
        "en",
        "Your appointment has been moved to Thursday. Would you like me to send you a reminder on the evening before?",
    ),
    ("pl", "Dzień dobry, w czym mogę pomóc?"),
)
# Lengths of the texts' speech, as parts of the median.
SPREAD = (1.0, 0.6, 1.4, 0.8, 1.2, 0.7, 1.3, 1.0)


@dataclass(frozen=True)
class Utterance:
    """A text and exactly how many codes it gets."""

    text: str
    language: str
    num_codes: int


def texts_in(languages: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Those of `TEXTS` that a model of these languages speaks, in their order, as (language, text).

    Raises `SettingsError` where it speaks none of them.
    """
    spoken = tuple(each for each in TEXTS if each[0] in languages)
    if not spoken:
        raise SettingsError(f"the bench has no text in any of the model's languages ({', '.join(sorted(languages))})")
    return spoken


def utterances(num: int, median_codes: int) -> list[Utterance]:
    """The first `num` of an endless list whose mean number of codes is `median_codes` every eight entries."""
    chosen = []
    for index in range(num):
        language, text = TEXTS[index % len(TEXTS)]
        num_codes = max(2, round(SPREAD[index % len(SPREAD)] * median_codes))
        chosen.append(Utterance(text, language, num_codes))
    return chosen
