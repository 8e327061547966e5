"""`mini`, heard: what comes out of the HTTP port says what went in, in the voice that was asked for.

Whisper-base listens and Resemblyzer compares voices. The bounds are what the model card promises, with the room that
a small sample needs.
"""

import base64
import io
import itertools
from collections.abc import Generator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serve_app.audio.pcm import Samples
from serve_app.audio.silence import MAX_SILENCE_S
from serve_app.bench.hearing import longest_silence_s
from serve_app.speech.speaking import CEILING_FACTOR
from serve_app.text.languages import CODES_PER_S, expected_codes
from serve_app.training.corpus import held_out_sentences
from serve_app.training.hearing import Ears, Heard, VoiceEar, similarity, word_error_rate
from tests.api.streaming_client import connected
from tests.end_to_end.serving import Server, serving
from tests.voices.recordings import TWO_CITIES, excerpt

VOICES = ("joe", "stella", "ross", "alan", "clara", "nora")
FEMALE, MALE = {"stella", "clara", "nora"}, {"joe", "ross", "alan"}
REFERENCES = Path(__file__).parents[1] / "training" / "voices"
MAX_WORD_ERRORS = 0.25
SENTENCES = held_out_sentences()


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """The service as a newcomer starts it: the default model at its default settings."""
    defaults = {"XTTS_DTYPE": "auto", "XTTS_DETERMINISTIC": "0", "XTTS_NUM_THREADS": "0", "XTTS_MODEL": "mini"}
    with serving(tmp_path_factory.mktemp("mini"), "--local", **defaults) as server:
        yield server


@cache
def ears() -> Ears:
    return Ears()


@cache
def voice_ear() -> VoiceEar:
    return VoiceEar()


DEFAULTS = {"language": "en", "seed": 1, "response_format": "wav"}


def _speak(server: Server, text: str, **fields: object) -> Samples:
    with server.client() as client:
        answer = client.post("/v1/audio/speech", json={**DEFAULTS, "input": text, **fields})
    assert answer.status_code == 200, answer.text
    samples, rate_hz = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    assert rate_hz == 24_000
    return samples


def _hear(server: Server, texts: list[str], **fields: object) -> list[Heard]:
    return [Heard(text, ears().transcribe(_speak(server, text, **fields), 24_000)) for text in texts]


def _said(heard: list[Heard]) -> str:
    return "\n".join(f"{each.asked} | {each.understood}" for each in heard)


@pytest.mark.slow
def test_held_out_sentences_are_understood(mini: Server) -> None:
    heard = _hear(mini, SENTENCES[:20])
    assert word_error_rate(heard) <= MAX_WORD_ERRORS, _said(heard)


@pytest.mark.slow
def test_text_that_is_streamed_is_understood(mini: Server) -> None:
    """As a language model writes it: a few letters at a time, and no pause in the speech where the pieces meet."""
    text = " ".join(SENTENCES[:8])
    with connected(mini.url) as client:
        client.send("start", seed=1, language="en", voice="stella")
        for start in range(0, len(text), 5):
            client.send("text", text=text[start : start + 5])
        client.send("end")
        heard = client.hear()
    spoken = np.frombuffer(heard.audio, dtype="<i2").astype(np.float32) / 2**15
    assert heard.last["duration_s"] == pytest.approx(len(spoken) / 24_000, abs=1e-3)
    understood = []
    for each in heard.last["sentences"]:
        sentence = spoken[round(each["start_s"] * 24_000) : round(each["end_s"] * 24_000)]
        understood.append(Heard(each["text"], ears().transcribe(sentence, 24_000)))
    assert "".join(each.asked for each in understood).replace(" ", "") == text.replace(" ", "")
    assert word_error_rate(understood) <= MAX_WORD_ERRORS, _said(understood)
    assert longest_silence_s(spoken, 24_000) < 1.5


@pytest.mark.slow
def test_voices_have_a_name_and_a_licence(mini: Server) -> None:
    with mini.client() as client:
        voices = {each["name"]: each for each in client.get("/v1/audio/voices").json()["voices"]}
    assert set(voices) == {"default", *VOICES}
    assert all(each["licence"] and each["description"] for each in voices.values())
    for names, word in ((FEMALE, "female"), (MALE, "male")):
        assert all(voices[name]["description"].startswith(word) for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("voice", VOICES)
def test_a_voice_by_name_sounds_like_its_recordings(mini: Server, voice: str) -> None:
    spoken = voice_ear().embed(_speak(mini, SENTENCES[0], voice=voice), 24_000)
    likeness = {name: similarity(spoken, _embedding(f"{name}-2.ogg")) for name in VOICES}
    assert max(likeness, key=likeness.__getitem__) == voice, likeness


@pytest.mark.slow
def test_a_cloned_voice_is_nearer_to_its_own_than_to_any_other(mini: Server) -> None:
    """From one recording of each voice; compared with another recording of each."""
    nearer: list[bool] = []
    for voice in VOICES:
        reference = base64.b64encode((REFERENCES / f"{voice}-1.ogg").read_bytes()).decode()
        spoken = voice_ear().embed(_speak(mini, SENTENCES[1], reference_audio_b64=reference), 24_000)
        own = similarity(spoken, _embedding(f"{voice}-2.ogg"))
        nearer += [own > similarity(spoken, _embedding(f"{other}-2.ogg")) for other in VOICES if other != voice]
    assert len(nearer) == 30
    assert sum(nearer) / len(nearer) >= 0.95


@cache
def _embedding(name: str) -> Samples:
    samples, rate_hz = soundfile.read(REFERENCES / name, dtype="float32")
    return voice_ear().embed(samples, rate_hz)


@pytest.mark.long
def test_speed_changes_duration_and_not_pitch(mini: Server) -> None:
    text = SENTENCES[2]
    usual = _speak(mini, text)
    for speed in (0.8, 1.2):
        other = _speak(mini, text, speed=speed)
        assert len(usual) / len(other) == pytest.approx(speed, rel=0.02)
        assert _pitch_hz(other) == pytest.approx(_pitch_hz(usual), rel=0.03)


def _pitch_hz(samples: Samples) -> float:
    """Median over voiced frames."""
    import librosa

    pitch_hz, is_voiced, _ = librosa.pyin(samples, fmin=60, fmax=300, sr=24_000, frame_length=2048)
    return float(np.median(pitch_hz[is_voiced]))


@pytest.mark.slow
def test_nothing_loops_or_falls_silent(mini: Server) -> None:
    for text in SENTENCES[20:30]:
        samples = _speak(mini, text)
        assert len(samples) / 24_000 < 1.0 + 0.75 * len(text.split()), text
        assert longest_silence_s(samples) < 1.0, text


@pytest.mark.long
@pytest.mark.parametrize("voice", ["joe", "stella"])
def test_sound_speech_stays_far_from_the_guards(mini: Server, voice: str) -> None:
    """Half the length at which a sentence is ended, and no silence that is cut."""
    off = {"ceiling": False, "loops": False, "retry": False, "silence": False}
    for seed, text in enumerate((*SENTENCES[:25], "Yes.", "Stop!", "Thank you very much.")):
        samples = _speak(mini, text, voice=voice, seed=seed, guards=off)
        expected_s = expected_codes(text, "en") / CODES_PER_S
        assert len(samples) / 24_000 < 0.5 * CEILING_FACTOR * expected_s, text
        assert longest_silence_s(samples, 24_000) < MAX_SILENCE_S, text


@pytest.mark.slow
@pytest.mark.parametrize("voice", ["stella", "nora"])
def test_short_sentences_that_are_joined_are_spoken_to_the_end(mini: Server, voice: str) -> None:
    for seed in range(5):
        samples = _speak(mini, "Hello. It is nice to meet you.", voice=voice, seed=seed)
        assert len(samples) / 24_000 > 1.5, seed


@pytest.mark.slow
def test_a_language_that_it_does_not_speak_is_refused_by_name(mini: Server) -> None:
    with mini.client() as client:
        answer = client.post("/v1/audio/speech", json={"input": "Bonjour.", "language": "fr"})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "unsupported_language"
    assert "'fr'" in answer.json()["error"]["message"] and "use one of: en" in answer.json()["error"]["message"]


@pytest.mark.slow
def test_text_without_a_sound_is_refused(mini: Server) -> None:
    with mini.client() as client:
        answer = client.post("/v1/audio/speech", json={"input": "🙂", "language": "en"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "empty_text"


@pytest.mark.slow
def test_streamed_equals_whole(mini: Server) -> None:
    with mini.client() as client:
        body = {"text": SENTENCES[3], "lang": "en", "seed": 4}
        answer = client.post("/synthesize_base64", json=body).json()
    whole, _ = soundfile.read(io.BytesIO(base64.b64decode(answer["audio_base64"])), dtype="float32")
    streamed = _speak(mini, SENTENCES[3], seed=4)
    assert abs(len(whole) - len(streamed)) <= 1
    count = min(len(whole), len(streamed))
    assert np.abs(whole[:count] - streamed[:count]).max() < 0.02


@pytest.mark.slow
def test_sentences_side_by_side_are_understood_in_their_order(mini: Server) -> None:
    text = " ".join(itertools.islice(SENTENCES, 4, 8))
    heard = [Heard(text, ears().transcribe(_speak(mini, text), 24_000))]
    assert word_error_rate(heard) <= MAX_WORD_ERRORS + 0.1, _said(heard)


@pytest.mark.slow
def test_a_real_persons_reference_gives_an_intelligible_voice(mini: Server) -> None:
    person = excerpt(TWO_CITIES, 0.0, 12.0)
    buffer = io.BytesIO()
    soundfile.write(buffer, person.samples, person.sample_rate_hz, format="WAV")
    reference = base64.b64encode(buffer.getvalue()).decode()
    heard = _hear(mini, SENTENCES[30:36], reference_audio_b64=reference)
    assert word_error_rate(heard) <= 0.3, _said(heard)


def test_the_default_of_every_command_is_mini() -> None:
    from serve_app.settings import Settings

    assert Settings.model_fields["model"].default == "mini"
