"""Who runs next: a first-come queue before a fixed number of slots. Knows sequences, no tensors."""

from collections import deque
from dataclasses import dataclass

from serve_app.engine.config import EngineConfig
from serve_app.engine.sequence import Sequence, Status
from serve_app.errors import Overloaded

PREFIX_EXTRA_ROWS = 35  # 32 conditioning latents, START, STOP and the start code


def prefix_rows(sequence: Sequence) -> int:
    """Cache rows a sequence fills before its first code."""
    return len(sequence.prompt.text_tokens) + PREFIX_EXTRA_ROWS


@dataclass(frozen=True)
class Step:
    """One pass: newcomers whose prefix is read, and the sequences that go on by one code."""

    prefill: tuple[Sequence, ...]
    decode: tuple[Sequence, ...]

    def __bool__(self) -> bool:
        return bool(self.prefill or self.decode)


class Scheduler:
    """Every sequence added leaves exactly once: by `finish`, `fail` or `abort`. Not thread-safe: one thread owns it."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._waiting: deque[Sequence] = deque()
        self._running: dict[int, Sequence] = {}  # by slot, in order of admission
        self._free_slots = list(range(config.max_slots))[::-1]

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        return len(self._running)

    @property
    def num_free_slots(self) -> int:
        return len(self._free_slots)

    def add(self, sequence: Sequence) -> None:
        """Queues a sequence. Raises `Overloaded` when more would wait than `max_waiting` beyond the free slots."""
        assert sequence.status is Status.WAITING
        if len(self._waiting) >= self._config.max_waiting + len(self._free_slots):
            raise Overloaded("the engine's queue is full: try again in a moment", retry_after_s=1.0)
        self._waiting.append(sequence)

    def schedule(self) -> Step:
        """Admits from the queue's front while slots and the prefill budget last; at least one if a slot is free."""
        decode = tuple(self._running.values())
        prefill: list[Sequence] = []
        rows = 0
        while self._waiting and self._free_slots:
            rows += prefix_rows(self._waiting[0])
            if prefill and rows > self._config.max_prefill_rows:
                break
            sequence = self._waiting.popleft()
            sequence.slot = self._free_slots.pop()
            sequence.status = Status.RUNNING
            self._running[sequence.slot] = sequence
            prefill.append(sequence)
        return Step(tuple(prefill), decode)

    def finish_decoding(self, sequence: Sequence) -> None:
        """All codes are there: the slot is free for another, the audio is still to be made."""
        self._release(sequence, Status.RENDERING)

    def finish(self, sequence: Sequence) -> None:
        assert sequence.status is Status.RENDERING
        sequence.status = Status.FINISHED

    def fail(self, sequence: Sequence) -> None:
        self._drop(sequence, Status.FAILED)

    def abort(self, sequence: Sequence) -> None:
        """Ends a sequence wherever it stands; one that is over already stays as it is."""
        self._drop(sequence, Status.ABORTED)

    def _drop(self, sequence: Sequence, status: Status) -> None:
        if sequence.status is Status.WAITING:
            self._waiting.remove(sequence)
            sequence.status = status
        elif sequence.status is Status.RUNNING:
            self._release(sequence, status)
        elif not sequence.status.is_over:
            sequence.status = status

    def _release(self, sequence: Sequence, status: Status) -> None:
        assert sequence.status is Status.RUNNING and sequence.slot is not None
        del self._running[sequence.slot]
        self._free_slots.append(sequence.slot)
        sequence.slot = None
        sequence.status = status
