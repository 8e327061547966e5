"""How well the service is understood: sentences over HTTP, Whisper's view of them against what was asked."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx2
import numpy as np
import soundfile

from serve_app.audio.pcm import Samples
from serve_app.bench.machine import machine
from serve_app.bench.serve_process import ServeProcess
from serve_app.errors import RequestError, ServiceError
from serve_app.model.pronunciation import PRONUNCIATIONS_FILE, Pronouncer, Pronunciations
from serve_app.model.source import MINI_DIR
from serve_app.settings import Settings
from serve_app.training import teachers as teaching
from serve_app.training.hearing import Ears, Heard, word_error_rate
from serve_app.training.voices import NAMED

SAMPLE_RATE_HZ = 24_000
TAIL_WORDS = 3  # more words understood than asked, by so many, are a tail or a loop
LONG_SILENCE_S = 1.0
SILENCE = 0.01  # of the loudest 20 ms, what counts as silent

Echo = Callable[[str], None]


@dataclass(frozen=True)
class Spoken:
    """One sentence as it came."""

    voice: str
    asked: str
    understood: str
    seconds: float
    silence_s: float  # the longest
    is_cut: bool = False  # the service gave up on it, and nothing was kept

    @property
    def heard(self) -> Heard:
        return Heard(self.asked, self.understood)

    @property
    def has_gone_wrong(self) -> bool:
        """A hallucinated tail, a loop, a long silence, or no end at all."""
        extra = len(self.understood.split()) - len(self.asked.split())
        return self.is_cut or extra >= TAIL_WORDS or self.silence_s > LONG_SILENCE_S


def run_hearing_bench(
    settings: Settings, voices: Sequence[str], sentences: Sequence[str], json_file: Path | None, echo: Echo
) -> None:
    """Speaks every sentence in every voice at the service's default settings and prints a table.

    Raises ImportError where the packages of the group `ears` are not installed.
    """
    ears = Ears()
    process = ServeProcess(settings, is_ray=False)
    spoken: list[Spoken] = []
    try:
        with httpx2.Client(base_url=process.url, timeout=300.0, trust_env=False) as client:
            for voice in voices:
                mine = [_speak(client, ears, voice, each, seed) for seed, each in enumerate(sentences)]
                spoken += mine
                echo(f"{voice}: {word_error_rate([each.heard for each in mine]):.1%} of words wrong")
    finally:
        process.close()
    for line in table(settings.model, spoken):
        echo(line)
    if json_file is not None:
        report = {"machine": machine(), "model": settings.model, "spoken": [asdict(each) for each in spoken]}
        json_file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def run_teacher_bench(voices: Sequence[str], sentences: Sequence[str], echo: Echo) -> None:
    """The same for the teachers themselves: what the built-in voices were learnt from, and the best they can become.

    Raises ImportError where the packages of the groups `ears` and `train` are not installed, RequestError where a voice
    has no teacher, FileNotFoundError where one of flite's voices is asked for and the program is not installed.
    """
    ears = Ears()
    pronounce = Pronouncer(Pronunciations.read(MINI_DIR / PRONUNCIATIONS_FILE))
    teachers = {voice.name: voice for voice in NAMED}
    spoken: list[Spoken] = []
    for name in voices:
        if name not in teachers:
            raise RequestError(f"{name!r} has no teacher: choose of {', '.join(teachers)}", field="voice")
        teacher = teachers[name].make_teacher()
        for sentence in sentences:
            said = teacher.say(sentence, pronounce(sentence.lower()))
            if said is None:
                echo(f"{name}: its teacher says {sentence!r} otherwise than the lexicon; it is left out")
                continue
            spoken.append(_listened(ears, name, sentence, said.samples, teaching.SAMPLE_RATE_HZ))
    for line in table("teachers", spoken):
        echo(line)


def _speak(client: httpx2.Client, ears: Ears, voice: str, sentence: str, seed: int) -> Spoken:
    body = {"input": sentence, "voice": voice, "language": "en", "seed": seed, "response_format": "wav"}
    try:
        answer = client.post("/v1/audio/speech", json=body)
    except httpx2.RemoteProtocolError:  # a stream that was cut: the model came to its last position without an end
        return Spoken(voice, sentence, "", 0.0, 0.0, is_cut=True)
    if answer.status_code != 200:
        raise ServiceError(f"a request of the bench was answered with {answer.status_code}: {answer.text}")
    samples, rate_hz = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    return _listened(ears, voice, sentence, samples, rate_hz)


def _listened(ears: Ears, voice: str, sentence: str, samples: Samples, rate_hz: int) -> Spoken:
    understood = ears.transcribe(samples, rate_hz)
    return Spoken(voice, sentence, understood, len(samples) / rate_hz, longest_silence_s(samples, rate_hz))


def longest_silence_s(samples: Samples, rate_hz: int = SAMPLE_RATE_HZ) -> float:
    """Seconds of the longest stretch of silence inside the speech; what is before and after it does not count."""
    frame = rate_hz // 50
    num_frames = len(samples) // frame
    levels = np.sqrt(np.mean(samples[: num_frames * frame].reshape(num_frames, frame) ** 2, axis=1))
    loud = np.flatnonzero(levels > SILENCE * levels.max()) if num_frames else np.zeros(0)
    return float(np.diff(loud).max() - 1) * frame / rate_hz if len(loud) > 1 else 0.0


def table(model: str, spoken: Sequence[Spoken]) -> list[str]:
    """As Markdown: a row a voice."""
    lines = [
        f"{model}: {len({each.asked for each in spoken})} sentences, heard by Whisper-base",
        "",
        "| voice | words wrong | sentences without an error | tails, loops, long silences | seconds a sentence |",
        "| --- | --- | --- | --- | --- |",
    ]
    for voice in dict.fromkeys(each.voice for each in spoken):
        mine = [each for each in spoken if each.voice == voice]
        right = sum(each.heard.num_errors == 0 for each in mine)
        wrong = sum(each.has_gone_wrong for each in mine)
        seconds = sum(each.seconds for each in mine) / len(mine)
        rate = word_error_rate([each.heard for each in mine])
        lines.append(f"| {voice} | {rate:.1%} | {right} of {len(mine)} | {wrong} | {seconds:.2f} |")
    return lines
