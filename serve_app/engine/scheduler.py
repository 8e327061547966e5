"""Who runs next: a queue before a fixed number of slots, in the order in which audio is wanted. Knows sequences, no
tensors.

A sentence spoken ahead of the one that is heard is wanted later, so it leaves a newcomer the slot; time passes, and
nobody starves.
"""

from bisect import insort
from dataclasses import dataclass
from heapq import heappop, heappush

from serve_app.engine.config import EngineConfig
from serve_app.engine.sequence import Sequence, Status


def _urgency(sequence: Sequence) -> tuple[float, int]:
    return sequence.due_s, sequence.sequence_id


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
        self._waiting: list[Sequence] = []  # the one whose audio is wanted first at the front
        self._running: dict[int, Sequence] = {}  # by slot, in order of admission
        self._free_slots = list(range(config.max_slots))  # a heap: a GPU's step runs over all up to the highest taken

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        return len(self._running)

    @property
    def num_free_slots(self) -> int:
        return len(self._free_slots)

    @property
    def oldest_due_s(self) -> float | None:
        """Since when the most urgent of the waiting sentences is wanted; None where nobody waits."""
        first = next(iter(self._waiting), None)  # also asked from other threads
        return None if first is None else first.due_s

    def add(self, sequence: Sequence) -> None:
        """Queues a sequence; how many may wait is the caller's to say."""
        assert sequence.status is Status.WAITING
        insort(self._waiting, sequence, key=_urgency)

    def schedule(self) -> Step:
        """Admits from the queue's front while slots and the prefill budget last; at least one if a slot is free."""
        decode = tuple(self._running.values())
        prefill: list[Sequence] = []
        rows = 0
        while self._waiting and self._free_slots:
            rows += self._waiting[0].num_prefix_rows
            if prefill and rows > self._config.max_prefill_rows:
                break
            sequence = self._waiting.pop(0)
            sequence.slot = heappop(self._free_slots)
            sequence.status = Status.RUNNING
            self._running[sequence.slot] = sequence
            prefill.append(sequence)
        return Step(tuple(prefill), decode)

    def take_back(self, sequence: Sequence) -> None:
        """Puts a sequence that has no code yet back into the queue: its prefix could not be read."""
        assert sequence.num_codes == 0
        self._release(sequence, Status.WAITING)
        self.add(sequence)

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
        heappush(self._free_slots, sequence.slot)
        sequence.slot = None
        sequence.status = status
