"""Piper, a fast model without cloning: `python -m loadtest.peers.piper VOICE.onnx PORT`, where `piper-tts` is."""

import sys

from piper import PiperVoice

from loadtest.peers.answering import answer, port_asked


def main() -> None:
    voice = PiperVoice.load(sys.argv[1])

    def speak(text: str, language: str) -> tuple[bytes, int]:
        chunks = list(voice.synthesize(text))
        return b"".join(chunk.audio_int16_bytes for chunk in chunks), chunks[0].sample_rate

    speak("Ready.", "en")
    answer(speak, port_asked(), is_one_at_a_time=False)


if __name__ == "__main__":
    main()
