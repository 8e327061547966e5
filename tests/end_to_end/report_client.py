"""A client as the field report's users wrote it, with nothing but Python's own library; a script.

Speaks every line of a JSON file `{language: text}` into `<language>.wav`: `report_client.py texts.json directory`.
"""

import base64
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

BASE_URL = f"http://127.0.0.1:{os.environ.get('TTS_PORT', '8100')}"
TIMEOUT_S = 180


def health() -> Any:
    with urllib.request.urlopen(f"{BASE_URL}/health", timeout=TIMEOUT_S) as answer:
        return json.loads(answer.read())


def synthesize(text: str, lang: str) -> bytes:
    """A WAV file. Raises RuntimeError with the status of a refusal."""
    payload = {"text": text, "lang": lang, "speed": 1.0, "speaker_wav_b64": None}
    request = urllib.request.Request(
        f"{BASE_URL}/synthesize_base64",
        data=json.dumps(payload).encode("utf-8"),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            result = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            raise RuntimeError(f"TTS failed with HTTP {error.code}") from error
    if result["mime_type"] != "audio/wav" or result["processing_time"] <= 0:
        raise RuntimeError(f"unexpected answer: {sorted(result)}")
    return base64.b64decode(result["audio_base64"])


def main() -> None:
    texts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    status = health()
    if status["status"] != "ok" or set(texts) - set(status["supported_languages"]):
        raise RuntimeError(f"the server cannot do this: {status}")
    for lang, text in texts.items():
        (Path(sys.argv[2]) / f"{lang}.wav").write_bytes(synthesize(text, lang))


if __name__ == "__main__":
    main()
