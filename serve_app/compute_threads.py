"""Threads that compute in parallel: one alone keeps its helpers.

PyTorch computes on a CPU with GNU's OpenMP, which gives each thread that computes in parallel helpers of its own and
keeps them until that thread ends. While a process has more of them than cores, all go to sleep after every parallel
region instead of waiting a moment for the next, and a decode step is hundreds of them (docs/performance.md says what it
costs). So the engine's thread alone keeps its helpers; what else computes does it on a thread
that ends.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def apart(work: Callable[[], T], name: str = "apart") -> T:
    """The result of `work`, done on a thread of its own that has ended by then. A signal ends the wait at once."""
    thread, result = _start(work, name)
    try:
        return result.result()
    finally:
        if result.done():
            thread.join()


async def await_apart(work: Callable[[], T], name: str = "apart") -> T:
    """The result of `work`, for a coroutine; its thread ends then. Who awaits it may be cancelled; the work goes on."""
    _, result = _start(work, name)
    return await asyncio.wrap_future(result)


def _start(work: Callable[[], T], name: str) -> tuple[threading.Thread, Future[T]]:
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()  # from here on nobody can cancel it
    context = copy_context()

    def run() -> None:
        try:
            result.set_result(context.run(work))
        except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
            result.set_exception(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread, result
