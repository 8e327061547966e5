"""An event loop whose clock jumps to the next timer when nothing else is to do: hours of traffic in seconds."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

STUCK_S = 5.0  # real: sockets of this process answer at once or never


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """Sockets are real, and their bytes take no time. `time()` begins at 0."""

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now_s


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualClockLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            ready = super().select(STUCK_S)
            assert ready, "everybody waits, and no timer runs"
        if not ready and timeout:
            self._loop.now_s += timeout
        return ready


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(main)
