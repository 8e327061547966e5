"""Recordings with text and timing on disk: one folder a voice, one file of samples, one line of JSON a sentence.

A writer appends and can be stopped at any time: samples without their line are overwritten by the next run.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

SAMPLES_FILE, LINES_FILE = "samples.i16", "sentences.jsonl"
FULL_SCALE = 32_767


@dataclass(frozen=True)
class Recording:
    """One sentence of a voice. `tokens` and `ends_s` are of equal length; both are empty where no timing is known."""

    voice: str
    text: str
    start: int  # in samples of the voice's file
    num_samples: int
    tokens: list[str] = field(default_factory=list)
    ends_s: list[float] = field(default_factory=list)


class VoiceFolder:
    """The recordings of one voice, all at one rate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self._samples: npt.NDArray[np.int16] | None = None

    def recordings(self) -> list[Recording]:
        path = self.folder / LINES_FILE
        if not path.is_file():
            return []
        lines = path.read_text(encoding="utf-8").splitlines()
        return [Recording(voice=self.name, **json.loads(line)) for line in lines]

    def samples(self, recording: Recording) -> npt.NDArray[np.float32]:
        """[n] float32."""
        if self._samples is None:
            self._samples = np.memmap(self.folder / SAMPLES_FILE, dtype=np.int16, mode="r")
        piece = self._samples[recording.start : recording.start + recording.num_samples]
        return piece.astype(np.float32) / np.float32(FULL_SCALE)

    def append(
        self, text: str, samples: npt.NDArray[np.float32], tokens: list[str], ends_s: list[float], start: int
    ) -> Recording:
        """`start` is where the last recording ended."""
        recording = Recording(self.name, text, start, len(samples), tokens, [round(end, 4) for end in ends_s])
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / SAMPLES_FILE
        with path.open("r+b" if path.exists() else "wb") as file:
            file.seek(2 * start)
            file.write((np.clip(samples, -1.0, 1.0) * FULL_SCALE).astype(np.int16).tobytes())
        line = {key: value for key, value in asdict(recording).items() if key != "voice"}
        with (self.folder / LINES_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        return recording


def voice_folders(root: Path) -> Iterator[VoiceFolder]:
    for folder in sorted(path.parent for path in root.glob(f"*/{LINES_FILE}")):
        yield VoiceFolder(folder)
