"""One request to a server that speaks OpenAI's dialect, whoever made it: what came, and when."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadtest.wire import Address, Answer, Call, End, ask

SPEECH_ROUTE = "/v1/audio/speech"


@dataclass(frozen=True)
class Text:
    text: str
    language: str
    seed: int


@dataclass(frozen=True)
class Listened:
    """Seconds from sending. `samples` [num_samples] of one channel at `rate_hz`; `why` tells a failure."""

    first_audio_s: float
    total_s: float
    samples: npt.NDArray[np.float32]
    rate_hz: int
    why: str = ""

    @property
    def audio_s(self) -> float:
        return len(self.samples) / self.rate_hz


async def listen(
    address: Address, text: Text, voice: str, deadline_s: float, more: Mapping[str, object] | None = None
) -> Listened:
    """Never raises for what a server does. `more`: further fields of the request."""
    body = {"model": "tts-1", "input": text.text, "voice": voice, "response_format": "wav"}
    ours = {"language": text.language, "seed": text.seed}  # others take no notice
    call = Call(SPEECH_ROUTE, json.dumps({**body, **ours, **(more or {})}, ensure_ascii=False).encode())
    answer = await ask(address, call, deadline_s)
    if answer.end is not End.COMPLETE or answer.status != 200:
        return _failed(answer, f"{answer.end}, status {answer.status}: {bytes(answer.body[:200])!r}")
    try:
        samples, rate_hz, head_bytes = await asyncio.to_thread(read_wav, bytes(answer.body))
    except ValueError as error:
        return _failed(answer, str(error))
    first_s = next(at_s for at_s, num_bytes in answer.reads if num_bytes > head_bytes)
    return Listened(first_s - answer.sent_s, answer.seconds, samples, rate_hz)


def read_wav(file: bytes) -> tuple[npt.NDArray[np.float32], int, int]:
    """Samples of 16 bit, their rate, and where they begin; a stream's head may state any length.

    Raises `ValueError` for anything else, and for a file without samples.
    """
    place, rate_hz, num_channels, num_bits = 12, 0, 0, 0
    while file[:4] == b"RIFF" and place + 8 <= len(file):
        name, size = file[place : place + 4], int.from_bytes(file[place + 4 : place + 8], "little")
        place += 8
        if name == b"fmt ":
            num_channels = int.from_bytes(file[place + 2 : place + 4], "little")
            rate_hz = int.from_bytes(file[place + 4 : place + 8], "little")
            num_bits = int.from_bytes(file[place + 14 : place + 16], "little")
        elif name == b"data":
            if num_bits != 16 or not rate_hz or not num_channels:
                break
            whole = (len(file) - place) // (2 * num_channels) * 2 * num_channels
            samples = np.frombuffer(file[place : place + min(size, whole)], "<i2").astype(np.float32) / 32768.0
            if not len(samples):
                break
            return samples.reshape(-1, num_channels).mean(axis=1), rate_hz, place
        place += size + size % 2
    raise ValueError(f"{len(file)} bytes are no WAV of 16-bit samples")


def _failed(answer: Answer, why: str) -> Listened:
    return Listened(0.0, answer.seconds, np.zeros(0, np.float32), 24_000, why)
