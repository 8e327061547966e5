"""A capacity test from its first request to its last."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random

from loadtest.arrivals import Due, Poisson, Send, closed_loop, open_loop
from loadtest.capacity.objective import Objective
from loadtest.capacity.search import highest_rate, knee, sweep
from loadtest.capacity.summary import Loop, Stage, Summary, milliseconds, summarize
from loadtest.client import Client
from loadtest.heard import Heard
from loadtest.target import Target
from loadtest.watch import Watch
from loadtest.workload.presets import PRESETS
from loadtest.workload.request import Request
from loadtest.workload.workload import MakeRecording, Workload
from serve_app.errors import StartupError

Echo = Callable[[str], None]

START = 0.6  # of the rate at the knee: where the search begins


@dataclass(frozen=True)
class CapacityOptions:
    """Each stage is held for `settle_s`, which do not count, and `stage_s`, which do."""

    workload: str = "chat"
    objective: Objective = field(default_factory=Objective)
    max_at_once: int = 64
    max_tries: int = 8
    stage_s: float = 30.0
    settle_s: float = 5.0
    deadline_s: float = 120.0  # of a request: beyond it, it hangs
    is_exact: bool = False  # the service is deterministic, so sampled requests are compared with what they are alone
    seed: int = 1

    def __post_init__(self) -> None:
        assert self.workload in PRESETS and self.max_at_once > 0 and self.max_tries > 0
        assert self.stage_s > 0.0 <= self.settle_s


@dataclass
class CapacityRecord:
    """What was measured, in order. `differences`: sampled requests that sounded otherwise alone; None: not asked."""

    options: CapacityOptions
    facts: dict[str, object] = field(default_factory=dict)  # of machine, service and versions
    stages: list[Stage] = field(default_factory=list)
    differences: list[str] | None = None
    seconds: float = 0.0

    def summaries(self, loop: Loop) -> list[Summary]:
        return [summarize(stage) for stage in self.stages if stage.loop is loop]

    @property
    def knee(self) -> Summary:
        return knee(self.summaries(Loop.CLOSED))

    @property
    def highest(self) -> Summary | None:
        """The stage of the highest rate that kept the objective."""
        kept = [each for each in self.summaries(Loop.OPEN) if not self.options.objective.misses(each)]
        return max(kept, key=lambda each: each.level, default=None)


class Capacity:
    """One test of one service, which is ready and has no other traffic."""

    def __init__(
        self, target: Target, options: CapacityOptions, echo: Echo, record: MakeRecording | None = None
    ) -> None:
        """`record` makes the recordings of voices to clone; without it nobody brings one."""
        self._target, self._options, self._echo, self._make_recording = target, options, echo, record
        self._rng = Random(options.seed)
        self._client = Client(target.address, options.deadline_s, name="capacity", headers=target.headers)
        self._record = CapacityRecord(options)

    async def run(self) -> CapacityRecord:
        """Raises `StartupError` where the service does not answer at all, or speaks no language of the texts."""
        started_s, options, record = time.monotonic(), self._options, self._record
        about = await self._target.about()
        record.facts |= about.facts
        try:
            self._workload = Workload(PRESETS[options.workload], options.seed, about.languages, self._make_recording)
        except ValueError as error:
            raise StartupError(str(error)) from error
        await self._client.warm_up(self._workload)
        levels = await sweep(self._at_once, options.max_at_once)
        at_knee = knee(levels)
        self._echo(f"knee: {at_knee.level:g} at once, {at_knee.audio_s_per_s:.2f} s of audio a second")
        start_hz = START * at_knee.served_hz
        if start_hz > 0.0:
            await highest_rate(self._at_rate, options.objective, start_hz, options.max_tries)
        if options.is_exact:
            record.differences = await self._client.differences()
        record.seconds = time.monotonic() - started_s
        return record

    async def _at_once(self, level: int) -> Summary:
        """A closed loop."""
        requests = iter(self._workload.next, None)
        drive = partial(closed_loop, num_at_once=level, duration_s=self._seconds)
        return await self._stage(Loop.CLOSED, float(level), drive, requests)

    async def _at_rate(self, rate_hz: float) -> Summary:
        """An open loop. Its requests are drawn before it begins, because making a recording takes a while."""
        arrivals = list(Poisson(rate_hz, self._seconds, Random(self._rng.random())))
        requests = iter([self._workload.next() for _ in arrivals])
        return await self._stage(Loop.OPEN, rate_hz, partial(open_loop, arrivals=arrivals), requests)

    @property
    def _seconds(self) -> float:
        return self._options.settle_s + self._options.stage_s

    async def _stage(
        self, loop: Loop, level: float, drive: Callable[[Send], Awaitable[object]], requests: Iterator[Request]
    ) -> Summary:
        heard: list[Heard] = []

        async def send(due: Due) -> None:
            heard.append(await self._client.speak(next(requests), due.at_s))

        started_s, cpu_s, at_s = asyncio.get_running_loop().time(), time.process_time(), time.monotonic()
        async with Watch(self._target).running() as watch:
            await drive(send)
        from_s = started_s + self._options.settle_s
        window_s = from_s, from_s + self._options.stage_s
        generator_cpu = (time.process_time() - cpu_s) / (time.monotonic() - at_s)
        stage = Stage(loop, level, window_s, heard, watch.readings, generator_cpu)
        self._record.stages.append(stage)
        summary = summarize(stage)
        self._echo(self._line(stage, summary))
        return summary

    def _line(self, stage: Stage, summary: Summary) -> str:
        said = (
            f"{stage.name}: {summary.served_hz:.2f} requests/s and {summary.audio_s_per_s:.2f} s of audio a second, "
            f"first audio p50 {milliseconds(summary.ttfa_s.p50)}, p95 {milliseconds(summary.ttfa_s.p95)}"
        )
        misses = self._options.objective.misses(summary)
        return f"{said}; missed: {', '.join(misses)}" if misses else f"{said}; objective kept"
