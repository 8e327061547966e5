"""When requests are sent. Open loop: at random times that wait for no answer, so that a queue is felt. Closed loop:
one after another, so many at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

Send = Callable[[float], Awaitable[None]]  # given when the request was to leave, of `time.monotonic`


@dataclass
class Dispatch:
    """What the generator did. A lag is how much later than intended a request was sent."""

    num_sent: int = 0
    lags_s: list[float] = field(default_factory=list)


async def open_loop(send: Send, rate_hz: float, duration_s: float, rng: Random) -> Dispatch:
    """Poisson arrivals for `duration_s`; returns when the last is answered. `send` ends by itself, in bounded time."""
    assert rate_hz > 0.0
    dispatch = Dispatch()
    started_s = time.monotonic()
    due_s = started_s + rng.expovariate(rate_hz)
    async with asyncio.TaskGroup() as tasks:
        while due_s < started_s + duration_s:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            dispatch.lags_s.append(time.monotonic() - due_s)
            dispatch.num_sent += 1
            tasks.create_task(_of(send, due_s))
            due_s += rng.expovariate(rate_hz)
    return dispatch


async def closed_loop(send: Send, num_at_once: int, duration_s: float) -> float:
    """`num_at_once` clients, each sending when it has its answer. Returns the seconds until the last one's answer."""
    started_s = time.monotonic()

    async def client() -> None:
        while time.monotonic() < started_s + duration_s:
            await send(time.monotonic())

    async with asyncio.TaskGroup() as tasks:
        for _ in range(num_at_once):
            tasks.create_task(client())
    return time.monotonic() - started_s


async def _of(send: Send, due_s: float) -> None:
    await send(due_s)
