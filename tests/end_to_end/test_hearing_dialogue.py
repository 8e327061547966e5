"""`mini` in several turns, heard: each in its voice and order; and words said as their author wants them said."""

import base64
import json
from collections.abc import Generator

import numpy as np
import pytest

from serve_app.audio.pcm import Samples
from serve_app.training.hearing import Heard, similarity, word_error_rate
from tests.end_to_end.serving import Server, serving
from tests.end_to_end.test_hearing import MAX_WORD_ERRORS, SENTENCES, VOICES, _embedding, _said, _speak, ears, voice_ear

pytestmark = pytest.mark.slow
RATE_HZ = 24_000


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    defaults = {"XTTS_DTYPE": "auto", "XTTS_DETERMINISTIC": "0", "XTTS_NUM_THREADS": "0", "XTTS_MODEL": "mini"}
    with serving(tmp_path_factory.mktemp("mini"), "--local", **defaults) as server:
        yield server


def converse(server: Server, turns: list[dict[str, object]]) -> list[Samples]:
    """What is heard of each turn, by the times that the last event tells."""
    body = {"turns": turns, "language": "en", "seed": 1, "response_format": "pcm", "stream_format": "sse"}
    with server.client() as client:
        lines = client.post("/v1/audio/dialogue", json=body).text.split("\n\n")
    *deltas, done = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    whole = np.frombuffer(b"".join(base64.b64decode(each["audio"]) for each in deltas), "<i2")
    samples = whole.astype(np.float32) / 2**15
    return [samples[round(each["start_s"] * RATE_HZ) : round(each["end_s"] * RATE_HZ)] for each in done["turns"]]


def test_turns_are_heard_in_their_voices_and_order(mini: Server) -> None:
    voices = ["stella", "ross", "nora", "joe", "stella", "ross"]
    turns: list[dict[str, object]] = [
        {"voice": voice, "text": text, "pause_s": 0.3} for voice, text in zip(voices, SENTENCES[40:46], strict=True)
    ]
    spoken = converse(mini, turns)
    texts = [str(turn["text"]) for turn in turns]
    heard = [Heard(text, ears().transcribe(each, RATE_HZ)) for text, each in zip(texts, spoken, strict=True)]
    assert word_error_rate(heard) <= MAX_WORD_ERRORS, _said(heard)
    for voice, each in zip(voices, spoken, strict=True):
        embedding = voice_ear().embed(each, RATE_HZ)
        likeness = {name: similarity(embedding, _embedding(f"{name}-2.ogg")) for name in VOICES}
        assert max(likeness, key=likeness.__getitem__) == voice, (voice, likeness)


def test_word_is_said_as_its_author_wants_it(mini: Server) -> None:
    text = "We looked at the xqzt for a very long time."
    for spelling in ("mountain", "children"):
        spoken = _speak(mini, text, pronunciations={"xqzt": spelling}, voice="stella")
        assert spelling.lower() in ears().transcribe(spoken, RATE_HZ).lower()
