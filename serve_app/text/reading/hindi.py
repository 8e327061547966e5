"""Hindi numbers. Every number below a hundred has a name of its own."""

_ZERO_TO_NINETY_NINE = (
    "शून्य एक दो तीन चार पाँच छह सात आठ नौ "
    "दस ग्यारह बारह तेरह चौदह पंद्रह सोलह सत्रह अठारह उन्नीस "
    "बीस इक्कीस बाईस तेईस चौबीस पच्चीस छब्बीस सत्ताईस अट्ठाईस उनतीस "
    "तीस इकतीस बत्तीस तैंतीस चौंतीस पैंतीस छत्तीस सैंतीस अड़तीस उनतालीस "
    "चालीस इकतालीस बयालीस तैंतालीस चौवालीस पैंतालीस छियालीस सैंतालीस अड़तालीस उनचास "
    "पचास इक्यावन बावन तिरपन चौवन पचपन छप्पन सत्तावन अट्ठावन उनसठ "
    "साठ इकसठ बासठ तिरसठ चौंसठ पैंसठ छियासठ सड़सठ अड़सठ उनहत्तर "
    "सत्तर इकहत्तर बहत्तर तिहत्तर चौहत्तर पचहत्तर छिहत्तर सतहत्तर अठहत्तर उन्यासी "
    "अस्सी इक्यासी बयासी तिरासी चौरासी पचासी छियासी सत्तासी अट्ठासी नवासी "
    "नब्बे इक्यानवे बानवे तिरानवे चौरानवे पचानवे छियानवे सत्तानवे अट्ठानवे निन्यानवे"
)
UNDER_HUNDRED = _ZERO_TO_NINETY_NINE.split()
_SCALES = ((10**11, "खरब"), (10**9, "अरब"), (10**7, "करोड़"), (10**5, "लाख"), (10**3, "हज़ार"), (100, "सौ"))
_ORDINALS = ("", "पहला", "दूसरा", "तीसरा", "चौथा", "पाँचवाँ", "छठा")


def hindi_cardinal(value: int) -> str:
    words: list[str] = []
    for size, name in _SCALES:
        if value >= size:
            words += [hindi_cardinal(value // size), name]
            value %= size
    return " ".join([*words, UNDER_HUNDRED[value]] if value or not words else words)


def hindi_ordinal(value: int) -> str:
    return _ORDINALS[value] if 1 <= value < len(_ORDINALS) else hindi_cardinal(value) + "वाँ"
