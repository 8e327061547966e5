"""What happens next: a heap of calls in the order of their times. The simulation's only clock."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from typing import Any

Call = Callable[[Any], None]


class Events:
    """Calls of one time come in the order in which they were asked for, so that a seed decides everything."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.num_done = 0
        self._heap: list[tuple[float, int, Call, Any]] = []
        self._num_added = 0

    def at(self, time_s: float, call: Call, argument: Any = None) -> None:
        self._num_added += 1
        heappush(self._heap, (time_s, self._num_added, call, argument))

    def run(self, until_s: float) -> None:
        """All that happens until then, or until nothing is left."""
        heap, num_done = self._heap, 0
        while heap and heap[0][0] <= until_s:
            self.now_s, _, call, argument = heappop(heap)
            call(argument)
            num_done += 1
        self.num_done += num_done


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """What a simulation makes is freed by counting references; looking for circles took half of its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
