"""MeloTTS, a fast model without cloning: `python -m loadtest.peers.melo PORT`, where `melotts` is installed.

It fetches its weights itself. Written from its documentation and not measured: they were not at hand.
"""

import numpy as np
from melo.api import TTS

from loadtest.peers.answering import answer, port_asked

LANGUAGES = {"en": "EN", "es": "ES", "fr": "FR", "zh-cn": "ZH", "ja": "JP", "ko": "KR"}


def main() -> None:
    models: dict[str, TTS] = {}

    def speak(text: str, language: str) -> tuple[bytes, int]:
        name = LANGUAGES[language]
        model = models[name] if name in models else models.setdefault(name, TTS(language=name, device="auto"))
        speaker = next(iter(model.hps.data.spk2id.values()))
        samples = model.tts_to_file(text, speaker, None, quiet=True)
        return (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes(), model.hps.data.sampling_rate

    speak("Ready.", "en")
    answer(speak, port_asked(), is_one_at_a_time=True)


if __name__ == "__main__":
    main()
