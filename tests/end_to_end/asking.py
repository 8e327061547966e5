"""What the end-to-end tests ask for: texts in all languages, voices from real recordings, requests of both routes."""

import base64
import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import soundfile

from serve_app.model.config import ModelConfig
from serve_app.model.make_vocab import VOCAB_FILE
from serve_app.model.synthetic import CODES_PER_TOKEN
from serve_app.model.tokenizer import Tokenizer
from serve_app.text.pauses import read
from tests.voices.recordings import BECKETT, CLONE_TEST, TWO_CITIES, excerpt

REPORT = "/synthesize_base64"
SPEECH = "/v1/audio/speech"
SAMPLE_RATE_HZ = 24_000
FRAME_SAMPLES = 256
WAV_HEADER_BYTES = 44

Pcm = npt.NDArray[np.int16]  # [num_samples] at 24 kHz

# One sentence each. The first fourteen are the field report's languages.
TEXTS = {
    "ko": "안녕하세요, 오늘은 날씨가 정말 좋네요",
    "ja": "今日はとても良い天気ですね、髙島屋へ行きましょう",
    "zh-cn": "你好，今天天气很好，我们出去走走吧",
    "en": "Hello, it is a pleasure to meet you this morning",
    "fr": "Bonjour, il fait très beau ce matin à Paris",
    "de": "Guten Tag, heute scheint die Sonne über München",
    "es": "Hola, mañana vamos a la montaña con los niños",
    "it": "Buongiorno, oggi è una bella giornata di sole",
    "pt": "Olá, amanhã não vou trabalhar de manhã",
    "pl": "Dzień dobry, dzisiaj świeci słońce nad rzeką",
    "ru": "Здравствуйте, сегодня прекрасная погода",
    "nl": "Goedemorgen, vandaag schijnt de zon boven de stad",
    "cs": "Dobrý den, dnes svítí slunce nad řekou",
    "tr": "Günaydın, bugün hava çok güzel değil mi",
    "ar": "مرحبا، الطقس جميل جدا هذا الصباح",
    "hu": "Jó reggelt, ma gyönyörűen süt a nap",
    "hi": "नमस्ते, आज मौसम बहुत अच्छा है",
}
SENTENCE = "The river runs past the old mill, under the stone bridge and down to the sea, as it has always done. "
LONG_TEXT = SENTENCE * 16  # about 130 s of speech

# Stretches of real recordings in seconds, by a name of our own; None is the voice `default`.
RECORDINGS = {
    "first": (TWO_CITIES, 0.0, 12.0),
    "second": (TWO_CITIES, 20.0, 31.0),
    "third": (BECKETT, 0.0, 10.0),
    "fourth": (CLONE_TEST, 0.0, 4.1),
    "fifth": ("endgame_nagg_nell.wav", 0.0, 14.0),
}
VOICES = (None, *RECORDINGS)
SPEEDS = (1.0, 0.5, 1.2, 2.0, 0.8)


@cache
def reference_wav(name: str) -> bytes:
    """A stretch of a recording as a WAV file."""
    recording = excerpt(*RECORDINGS[name])
    file = io.BytesIO()
    soundfile.write(file, recording.samples, recording.sample_rate_hz, format="WAV")
    return file.getvalue()


def reference_b64(name: str) -> str:
    return base64.b64encode(reference_wav(name)).decode("ascii")


@dataclass(frozen=True)
class Asked:
    """One request for speech, by either route."""

    text: str
    language: str
    voice: str | None = None
    seed: int = 0
    speed: float = 1.0
    is_streamed: bool = False
    is_upload: bool = False  # the reference as a file of a form, not as base64

    def to_http(self) -> tuple[str, dict[str, Any]]:
        """The route, and the arguments of an httpx call."""
        if not self.is_streamed:
            reference = None if self.voice is None else reference_b64(self.voice)
            body = {"text": self.text, "lang": self.language, "speed": self.speed, "seed": self.seed}
            return REPORT, {"json": {**body, "speaker_wav_b64": reference}}
        fields = {"input": self.text, "language": self.language, "speed": self.speed, "seed": self.seed}
        fields["response_format"] = "pcm"
        if self.voice is None:
            return SPEECH, {"json": fields}
        if self.is_upload:
            return SPEECH, {"data": fields, "files": {"reference_audio": ("me.wav", reference_wav(self.voice))}}
        return SPEECH, {"json": {**fields, "reference_audio_b64": reference_b64(self.voice)}}


def crowd() -> list[Asked]:
    """40 requests, no two alike: half whole, half streamed; 17 languages, six voices, five speeds, some of two
    sentences."""
    return [_asked(number) for number in range(40)]


def _asked(number: int) -> Asked:
    language = list(TEXTS)[number % len(TEXTS)]
    text = f"{number} {TEXTS[language]}"
    return Asked(
        text if number % 5 else f"{text}. {TEXTS[language]}!",
        language,
        voice=VOICES[number % len(VOICES)],
        seed=1_000 + number % 3,
        speed=SPEEDS[number % len(SPEEDS)],
        is_streamed=number % 4 < 2,
        is_upload=number % 8 < 4,
    )


def pcm_of_wav(wav: bytes) -> Pcm:
    """The samples of a mono 16-bit file at 24 kHz, and nothing else in it."""
    with soundfile.SoundFile(io.BytesIO(wav)) as file:
        assert (file.samplerate, file.channels, file.subtype, file.format) == (24_000, 1, "PCM_16", "WAV")
    return np.frombuffer(wav[WAV_HEADER_BYTES:], dtype="<i2")


def pcm_of(asked: Asked, answer: httpx.Response) -> Pcm:
    """The samples of a complete answer."""
    assert answer.status_code == 200, answer.text
    if asked.is_streamed:
        return np.frombuffer(answer.content, dtype="<i2")
    return pcm_of_wav(base64.b64decode(answer.json()["audio_base64"], validate=True))


def hear(client: httpx.Client, asked: Asked) -> Pcm:
    route, arguments = asked.to_http()
    return pcm_of(asked, client.post(route, **arguments))


@cache
def _tokenizer() -> Tokenizer:
    return Tokenizer(VOCAB_FILE, ModelConfig("synthetic:tiny").languages)


def num_codes(sentence: str, language: str) -> int:
    """Codes of one sentence: what a synthetic model is made to speak for each text token."""
    return round(CODES_PER_TOKEN * _tokenizer().count(next(read(sentence, language)).text, language))


def num_samples(codes: int, speed: float = 1.0) -> int:
    """Samples of one sentence, by the vocoder's arithmetic: four frames a code, stretched by 24000 / 22050."""
    return int(codes / speed) * 4 * 24_000 // 22_050 * FRAME_SAMPLES
