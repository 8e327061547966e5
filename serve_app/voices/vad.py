"""Where somebody speaks in a recording: silero-vad's network, run over a whole recording at once. Knows no voices.

The weights ship inside the silero-vad package and are read as safetensors. The package itself is never imported: that
sets torch's number of threads for the whole process. Its network (silero_vad/tinygrad_model.py) is a short-time Fourier
transform, four convolutions and an LSTM; only the LSTM looks beyond one frame, so all else is one batch.
"""

import importlib.util
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from serve_app.audio.pcm import Recording
from serve_app.errors import StartupError

SAMPLE_RATE_HZ = 16_000
FRAME_SAMPLES = 512
FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ

# silero_vad.utils_vad.get_speech_timestamps: speech begins at 0.5, ends below 0.35 for 100 ms, and lasts 250 ms.
_START_PROBABILITY, _END_PROBABILITY = 0.5, 0.35
_MIN_PAUSE_S, _MIN_SPEECH_S = 0.1, 0.25
_QUIET_PEAK = 0.1  # quieter recordings are raised to this peak: the network misses speech below about 0.005
_CONTEXT_SAMPLES = 64  # of the frame before, read again with every frame
_WINDOW_SAMPLES, _HOP_SAMPLES = 256, 128
_NUM_BINS = _WINDOW_SAMPLES // 2 + 1
_WIDTH = 128
_BATCH_FRAMES = 2048


@dataclass(frozen=True)
class SpeechSpan:
    """A stretch of speech, in seconds from the start of the recording."""

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        assert 0.0 <= self.start_s < self.end_s

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


class SpeechDetector:
    """silero-vad for 16 kHz. Keeps no state between calls: several threads may use one."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        self._weights = weights
        with torch.device("meta"):  # no random initialisation: it would move torch's global generator
            lstm = torch.nn.LSTM(_WIDTH, _WIDTH)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        lstm.load_state_dict({f"{name}_l0": weights[f"lstm_cell.{name}"] for name in names}, assign=True)
        self._lstm = lstm.requires_grad_(False)

    @classmethod
    def load(cls) -> "SpeechDetector":
        """The detector with the weights of the installed silero-vad. Raises StartupError where they are not there."""
        spec = importlib.util.find_spec("silero_vad")
        folders = spec.submodule_search_locations if spec else None
        if not folders:
            raise StartupError("silero-vad is not installed; install the pinned requirements again")
        path = Path(folders[0]) / "data" / "silero_vad_16k.safetensors"
        if not path.is_file():
            raise StartupError(f"the installed silero-vad has no {path.name}; install the pinned requirements again")
        return cls(load_file(path))

    @torch.inference_mode()
    def probabilities(self, samples: torch.Tensor) -> npt.NDArray[np.float32]:
        """Probability of speech per frame of 32 ms in `samples` [n], float32 mono at 16 kHz, the last frame padded."""
        num_frames = -(-len(samples) // FRAME_SAMPLES)
        padded = F.pad(samples, (_CONTEXT_SAMPLES, num_frames * FRAME_SAMPLES - len(samples)))
        frames = padded.unfold(0, _CONTEXT_SAMPLES + FRAME_SAMPLES, FRAME_SAMPLES)  # [num_frames, 576]
        features = torch.cat(
            [self._features(batch) for batch in torch.split(frames, _BATCH_FRAMES)]
        )  # [num_frames, 128]
        states, _ = self._lstm(features)
        logits = F.relu(states) @ self._weights["final_conv.weight"].reshape(_WIDTH) + self._weights["final_conv.bias"]
        probabilities: npt.NDArray[np.float32] = torch.sigmoid(logits).numpy()
        return probabilities

    def spans(self, recording: Recording) -> list[SpeechSpan]:
        """The stretches of speech in order, to a frame of 32 ms."""
        samples = soxr.resample(recording.samples, recording.sample_rate_hz, SAMPLE_RATE_HZ)
        peak = float(np.abs(samples).max(initial=0.0))
        if peak == 0.0:
            return []
        samples *= np.float32(max(1.0, _QUIET_PEAK / peak))
        return spans_of(self.probabilities(torch.from_numpy(samples)), len(samples) / SAMPLE_RATE_HZ)

    def _features(self, frames: torch.Tensor) -> torch.Tensor:
        """[n, 576] samples → [n, 128]."""
        weights = self._weights
        padded = F.pad(frames.unsqueeze(1), (0, _CONTEXT_SAMPLES), mode="reflect")  # [n, 1, 640]
        spectrum = F.conv1d(padded, weights["stft_conv.weight"], stride=_HOP_SAMPLES)  # [n, 258, 4]
        hidden = (spectrum[:, :_NUM_BINS].square() + spectrum[:, _NUM_BINS:].square()).sqrt()
        for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
            bias = weights[f"{name}.bias"]
            hidden = F.relu(F.conv1d(hidden, weights[f"{name}.weight"], bias, stride=stride, padding=1))
        return hidden.squeeze(-1)


class LazySpeechDetector:
    """A detector loaded when it is first needed, once, whichever thread asks first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._detector: SpeechDetector | None = None

    def spans(self, recording: Recording) -> list[SpeechSpan]:
        with self._lock:
            if self._detector is None:
                self._detector = SpeechDetector.load()
        return self._detector.spans(recording)


def spans_of(probabilities: npt.NDArray[np.float32], duration_s: float) -> list[SpeechSpan]:
    """Stretches of speech by the frames' probabilities: two thresholds, short pauses bridged, short noises dropped."""
    spans: list[SpeechSpan] = []
    start_s: float | None = None
    pause_s: float | None = None
    for index, probability in enumerate(probabilities):
        now_s = index * FRAME_S
        if probability >= _START_PROBABILITY:
            start_s = now_s if start_s is None else start_s
            pause_s = None
        elif start_s is not None and probability < _END_PROBABILITY:
            pause_s = now_s if pause_s is None else pause_s
            if now_s - pause_s >= _MIN_PAUSE_S:
                spans.append(SpeechSpan(start_s, pause_s))
                start_s = pause_s = None
    if start_s is not None:
        spans.append(SpeechSpan(start_s, max(duration_s if pause_s is None else pause_s, start_s + FRAME_S / 2)))
    return [span for span in spans if span.duration_s > _MIN_SPEECH_S]
