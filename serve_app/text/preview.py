"""A sentence in each language to hear a voice by."""

_TEXTS = {
    "ar": "مرحبا. هكذا يبدو هذا الصوت حين يقرأ نصا قصيرا.",
    "cs": "Dobrý den. Takto zní tento hlas, když čte krátký text.",
    "de": "Guten Tag. So klingt diese Stimme, wenn sie einen kurzen Text liest.",
    "en": "Hello. This is how the voice sounds when it reads a short text.",
    "es": "Hola. Así suena esta voz cuando lee un texto corto.",
    "fr": "Bonjour. Voici comment cette voix lit un texte court.",
    "hi": "नमस्ते। यह आवाज़ एक छोटा पाठ पढ़ते समय ऐसी सुनाई देती है।",
    "hu": "Jó napot. Így szól ez a hang, amikor egy rövid szöveget olvas.",
    "it": "Buongiorno. Così suona questa voce quando legge un breve testo.",
    "ja": "こんにちは。短い文を読むと、この声はこのように聞こえます。",
    "ko": "안녕하세요. 짧은 글을 읽으면 이 목소리는 이렇게 들립니다.",
    "nl": "Goedendag. Zo klinkt deze stem als zij een korte tekst leest.",
    "pl": "Dzień dobry. Tak brzmi ten głos, gdy czyta krótki tekst.",
    "pt": "Olá. É assim que esta voz soa quando lê um texto curto.",
    "ru": "Здравствуйте. Так звучит этот голос, когда читает короткий текст.",
    "tr": "Merhaba. Bu ses kısa bir metni okurken böyle duyulur.",
    "zh-cn": "你好。这个声音读一段短文时，听起来就是这样。",
}


def preview_text(language: str) -> str:
    """In a model's language; in English for one that has none here."""
    return _TEXTS.get(language, _TEXTS["en"])
