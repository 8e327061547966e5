"""What a service says of itself while a load runs: its metrics, read over and over, and what its processes take."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from loadtest.gauges import parse_metrics, read_metrics
from loadtest.wire import Address

PERIOD_S = 0.5
# Metric → the name in a reading: gauges as they are, counters as their growth a second.
GAUGES = {
    "xtts_slots": "slots",
    "xtts_slots_used": "slots used",
    "xtts_sentences_waiting": "sentences waiting",
    "xtts_requests_open": "requests open",
}
GPU_GAUGES = {"xtts_gpu_use": "GPU use", "xtts_gpu_memory_used_bytes": "GPU memory, bytes"}
COUNTERS = {"xtts_codes_total": "codes/s", "xtts_made_seconds_total": "audio made, s/s"}
ROWS_SUM, ROWS_COUNT, BATCH = "xtts_batch_rows_sum", "xtts_batch_rows_count", "rows in a step"
CPU = "CPU, cores"  # of all the service's processes


@dataclass(frozen=True)
class Reading:
    """At a moment of the event loop's clock; rates and means are of the time since the reading before."""

    at_s: float
    values: dict[str, float]


class Watched(Protocol):
    """A service that can be looked into. `metrics` is None where it exports nothing to us."""

    @property
    def metrics(self) -> Address | None: ...

    def cpu_s(self) -> float | None:
        """Of all its processes so far; None where they are not ours to see."""


class Watch:
    """Reads until its block ends."""

    def __init__(self, service: Watched) -> None:
        self._service = service
        self.readings: list[Reading] = []
        self._before: tuple[float, Mapping[str, float], float | None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Watch"]:
        task = asyncio.create_task(self._watch())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await self._read()
            await asyncio.sleep(PERIOD_S)

    async def _read(self) -> None:
        metrics = await self._metrics()
        now_s, cpu_s = asyncio.get_running_loop().time(), self._service.cpu_s()
        if self._before is not None:
            values = _values(*self._before[1:], metrics, cpu_s, now_s - self._before[0])
            if values:
                self.readings.append(Reading(now_s, values))
        self._before = now_s, metrics, cpu_s

    async def _metrics(self) -> Mapping[str, float]:
        address = self._service.metrics
        return {} if address is None else parse_metrics(await read_metrics(address))


def _values(
    before: Mapping[str, float],
    cpu_before_s: float | None,
    after: Mapping[str, float],
    cpu_after_s: float | None,
    seconds: float,
) -> dict[str, float]:
    def growth(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    has_gpu = after.get("xtts_gpu_memory_bytes", 0.0) > 0.0
    found = {name: after[metric] for metric, name in GAUGES.items() if metric in after}
    if has_gpu:
        found |= {name: after[metric] for metric, name in GPU_GAUGES.items() if metric in after}
    if before and after:
        found |= {name: growth(metric) / seconds for metric, name in COUNTERS.items() if metric in after}
        if ROWS_COUNT in after and (num_steps := growth(ROWS_COUNT)) > 0:
            found[BATCH] = growth(ROWS_SUM) / num_steps
    if cpu_before_s is not None and cpu_after_s is not None:
        found[CPU] = max(0.0, cpu_after_s - cpu_before_s) / seconds
    return found
