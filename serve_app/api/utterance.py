"""One utterance as its client writes it: text comes in as it is written, pieces to speak go out. Speaks nothing."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from serve_app.api.stream_messages import StartMessage
from serve_app.errors import ServiceError, TextTooLong
from serve_app.text.incremental import IncrementalSentences

SETTLE_S = 0.3  # without more text: what may be a whole sentence is spoken
STALL_S = 3.0  # without more text: whatever is there is spoken


@dataclass(frozen=True)
class Piece:
    """A sentence or two, spoken as one request. `came_s`, of the clock `perf_counter`, is when it was complete."""

    text: str
    seed: int
    came_s: float


class Utterance:
    """Written by the connection's reader, spoken by its conductor."""

    def __init__(self, name: str, start: StartMessage, cutting_language: str, max_chars: int) -> None:
        self.name, self.start = name, start
        self.seed = secrets.randbits(31) if start.seed is None else start.seed
        self.is_open = True  # takes text
        self.stopped = asyncio.Event()
        self.failure: ServiceError | None = None  # why it was stopped, if its client did not ask for it
        self._sentences = IncrementalSentences(cutting_language)
        self._pieces: asyncio.Queue[Piece | None] = asyncio.Queue()
        self._max_chars, self._num_chars, self._num_spoken_chars = max_chars, 0, 0
        self._timer: asyncio.TimerHandle | None = None

    def write(self, text: str) -> None:
        """More text. Raises `TextTooLong`."""
        self._num_chars += len(text)
        if self._num_chars > self._max_chars:
            raise TextTooLong(
                f"An utterance may have {self._max_chars} characters; end it and start another.", field="text"
            )
        self._speak(self._sentences.push(text))
        self._wait(SETTLE_S, self._settle)

    def flush(self) -> None:
        """Speaks what is held back."""
        self._stop_waiting()
        self._speak(self._sentences.flush())

    def end(self) -> None:
        """No more text."""
        self.flush()
        self.is_open = False
        self._pieces.put_nowait(None)

    def stop(self, failure: ServiceError | None = None) -> None:
        """No more of anything."""
        self._stop_waiting()
        self.is_open = False
        if not self.stopped.is_set():
            self.failure = failure
            self.stopped.set()

    async def pieces(self) -> AsyncGenerator[Piece]:
        """To the text's end."""
        while (piece := await self._pieces.get()) is not None:
            yield piece

    def _settle(self) -> None:
        self._speak(self._sentences.settle())
        self._wait(STALL_S - SETTLE_S, self.flush)

    def _speak(self, texts: Sequence[str]) -> None:
        for text in texts:
            seed = derive_seed(self.seed, self._num_spoken_chars)
            self._num_spoken_chars += len("".join(text.split()))
            self._pieces.put_nowait(Piece(text, seed, time.perf_counter()))

    def _wait(self, delay_s: float, then: Callable[[], None]) -> None:
        self._stop_waiting()
        if self._sentences.has_text:
            self._timer = asyncio.get_running_loop().call_later(delay_s, then)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def derive_seed(seed: int, num_chars_before: int) -> int:
    """A piece's seed, [0, 2⁶³), by its place in the text: however the text before it was cut, it stays the same.

    The first has the utterance's own, as the whole text would by HTTP.
    """
    if num_chars_before == 0:
        return seed
    digest = hashlib.blake2b(repr((seed, num_chars_before)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
