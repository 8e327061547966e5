"""When requests are sent. Open loop: at times that wait for no answer, so that a queue is felt. Closed loop: one after
another, so many at once.

In an open loop nothing bounds how many requests are under way, and nothing may: a pool of connections that is used up
holds the next request back until an answer comes, which is a closed loop under another name, and hides the queue that
was to be measured. Each request is a task with a connection of its own, timed from when it was to leave. How much later
it really left is its lag, and is recorded: where lags grow, the generator is the bottleneck and its figures are void.
"""

import asyncio
import csv
import json
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random


@dataclass(frozen=True)
class Arrival:
    """When a request is to be sent: seconds from the start, never falling. `num_chars`: of its text, where known."""

    at_s: float
    num_chars: int | None = None


ArrivalTimes = Iterable[Arrival]


@dataclass(frozen=True)
class Due:
    """A request that is to leave now. `at_s` is when it was to, on the clock of the running event loop."""

    at_s: float
    num_chars: int | None = None


Send = Callable[[Due], Awaitable[None]]


@dataclass
class Dispatch:
    """What the generator did. A lag is how much later than intended a request was sent."""

    num_sent: int = 0
    lags_s: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Poisson:
    """Independent users: exponential times between arrivals. One pass: it draws from `rng` as it goes."""

    rate_hz: float
    duration_s: float
    rng: Random

    def __iter__(self) -> Iterator[Arrival]:
        assert self.rate_hz > 0.0
        at_s = self.rng.expovariate(self.rate_hz)
        while at_s < self.duration_s:
            yield Arrival(at_s)
            at_s += self.rng.expovariate(self.rate_hz)


@dataclass(frozen=True)
class Constant:
    """As a metronome, the first at once."""

    rate_hz: float
    duration_s: float

    def __iter__(self) -> Iterator[Arrival]:
        assert self.rate_hz > 0.0
        number = 0
        while (at_s := number / self.rate_hz) < self.duration_s:
            yield Arrival(at_s)
            number += 1


def read_trace(path: Path) -> list[Arrival]:
    """Arrivals as they were once recorded, by time. Their first column or key is `at_s`, seconds from any start; the
    second, where there is one, `num_chars`. A file `*.jsonl` has an object a line; any other is CSV with a head.

    Raises `ValueError`, which names the line, where one cannot be read, and for a file without arrivals.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = (json.loads(line) for line in file if line.strip()) if path.suffix == ".jsonl" else csv.DictReader(file)
        found = list(_read_rows(rows))
    if not found:
        raise ValueError(f"{path} has no arrivals")
    found.sort(key=lambda each: each.at_s)
    first_s = found[0].at_s
    return [Arrival(each.at_s - first_s, each.num_chars) for each in found]


def _read_rows(rows: Iterable[dict[str, object]]) -> Iterator[Arrival]:
    number, rows = 0, iter(rows)
    while True:
        number += 1
        try:
            if (row := next(rows, None)) is None:
                return
            yield _read_row(row)
        except (KeyError, ValueError, AttributeError, TypeError, csv.Error) as error:
            raise ValueError(f"arrival {number} of the trace is not `at_s` and `num_chars`: {error}") from error


def _read_row(row: dict[str, object]) -> Arrival:
    at_s, num_chars = float(str(row["at_s"])), row.get("num_chars")
    if not math.isfinite(at_s):
        raise ValueError(f"{at_s} is no time")
    return Arrival(at_s, None if num_chars in (None, "") else int(str(num_chars)))


async def open_loop(send: Send, arrivals: ArrivalTimes) -> Dispatch:
    """Sends at the times of `arrivals`; returns when the last is answered. `send` ends by itself, in bounded time."""
    loop, dispatch = asyncio.get_running_loop(), Dispatch()
    started_s = loop.time()
    async with asyncio.TaskGroup() as tasks:
        for arrival in arrivals:
            due_s = started_s + arrival.at_s
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            dispatch.lags_s.append(max(0.0, loop.time() - due_s))
            dispatch.num_sent += 1
            tasks.create_task(_of(send, Due(due_s, arrival.num_chars)))
    return dispatch


async def closed_loop(send: Send, num_at_once: int, duration_s: float) -> float:
    """`num_at_once` clients, each sending when it has its answer. Returns the seconds until the last one's answer."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()

    async def client() -> None:
        while loop.time() < started_s + duration_s:
            await send(Due(loop.time()))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(num_at_once):
            tasks.create_task(client())
    return loop.time() - started_s


async def _of(send: Send, due: Due) -> None:
    await send(due)
