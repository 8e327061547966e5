"""Going on where the device's memory runs out, as on a GPU that other programs share: passes over less at a time."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import torch

from serve_app import metrics
from serve_app.errors import OutOfMemory
from serve_app.metrics import NOT_RECORDED, Metrics

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

REGROW_S = 10.0  # of success, after which a pass may be twice as large again
PAUSE_S = 0.05  # where not even the least fits: whoever took the memory may give it back
RETRY_AFTER_S = 5.0
MAX_FAILURES = 2  # times a sequence finds no memory though it is alone, and is refused
# How torch says it besides by its type: a CPU's allocator, and CUDA's libraries, which allocate by themselves.
_WORDS = ("not enough memory", "can't allocate memory", "STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS)


def refusal() -> OutOfMemory:
    """For a request that was tried again and found no memory."""
    return OutOfMemory("the device has no memory left for this: try again in a moment", retry_after_s=RETRY_AFTER_S)


def release_memory() -> None:
    """Gives back what torch keeps for itself. Not while an exception is handled: its frames hold tensors."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def tried_twice(call: Callable[[], R], phase: str, recorder: Metrics = NOT_RECORDED) -> R:
    """What cannot be made smaller: once more with all freed memory. Raises `OutOfMemory`."""
    for _ in range(2):
        try:
            return call()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        recorder.add(metrics.OUT_OF_MEMORY, phase=phase)
        release_memory()
    raise refusal()


class PassSize:
    """How much a pass of one phase takes: halved where memory runs out, doubled again after a while of success."""

    def __init__(self, phase: str, most: int, *, least: int = 1, recorder: Metrics = NOT_RECORDED) -> None:
        self._phase, self._most, self._least, self._metrics = phase, most, least, recorder
        self._limit = most
        self._changed_s = 0.0

    @property
    def limit(self) -> int:
        now_s = time.monotonic()
        if self._limit < self._most and now_s - self._changed_s > REGROW_S:
            self._limit, self._changed_s = min(self._most, 2 * self._limit), now_s
        return self._limit

    def shrink(self, size: int) -> None:
        """A pass over `size` found no memory."""
        self._limit, self._changed_s = max(self._least, min(self._limit, size // 2)), time.monotonic()
        logger.warning("no memory for %s of %d: going on with %d", self._phase, size, self._limit)

    def run(
        self, items: tuple[T, ...], call: Callable[[tuple[T, ...]], R]
    ) -> tuple[list[tuple[tuple[T, ...], R]], tuple[T, ...]]:
        """`call` over the items in as few parts as memory allows.

        Returns each part with its result, and the items left over: the first of them found no memory though it was
        alone. `call` must be such that a failed one may be made again.
        """
        done: list[tuple[tuple[T, ...], R]] = []
        limit = self.limit
        while items:
            part = items[:limit]
            try:
                done.append((part, call(part)))
                items = items[len(part) :]
                continue
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            self._metrics.add(metrics.OUT_OF_MEMORY, phase=self._phase)
            self.shrink(len(part))
            release_memory()
            limit = self._limit
            if len(part) == 1:
                break
        return done, items
