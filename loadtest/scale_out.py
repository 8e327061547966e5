"""Scale-out: one service before 1, 2, 4 … engine replicas that sleep. What is added to the sleep is the service's own.

Two loads on each number of replicas. Full: as many requests at once as replicas take, for the throughput. Half: half as
many as there are slots, so that none waits for one, for the time that is added at first audio and at each chunk.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from loadtest.server import RunningService, serving
from loadtest.sleeping import CHUNK_S, Plan
from loadtest.speech import SPEECH_ROUTE
from loadtest.wire import Answer, Call, End, ask
from serve_app.bench.process_tree import CLOCK_TICKS_HZ, PROC
from serve_app.errors import StartupError
from serve_app.model.config import SAMPLE_RATE_HZ
from serve_app.settings import make_settings

Echo = Callable[[str], None]

CHUNK_BYTES = round(CHUNK_S * SAMPLE_RATE_HZ) * 2
GRACE_S = 30.0  # of a request beyond its sleep: later, it hangs
RUNNING_TIMEOUT_S = 600.0  # until all replicas are there
SAID_WHEN_RUNNING = "ready on http"
GENERATOR = "generator"


@dataclass(frozen=True)
class ScaleOptions:
    """`num_ingresses`: HTTP replicas, the same at every level."""

    levels: tuple[int, ...] = (1, 2, 4, 8)
    num_slots: int = 8
    num_ingresses: int = 1
    seconds: float = 40.0  # of each load, after the ramp
    plan: Plan = field(default_factory=Plan)

    def __post_init__(self) -> None:
        assert self.levels and self.num_slots > 1 and self.seconds > 0.0


@dataclass
class Load:
    """What one load got, counted while it was steady. `added` are seconds beyond the sleep."""

    seconds: float = 0.0
    audio_s: float = 0.0
    first_added_s: list[float] = field(default_factory=list)
    chunk_added_s: list[float] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)  # of each group of processes
    busy_cores: float = 0.0  # of the machine, whoever kept them so
    faults: list[str] = field(default_factory=list)

    @property
    def audio_s_per_s(self) -> float:
        return self.audio_s / self.seconds

    @property
    def own_cores(self) -> float:
        return sum(self.cpu_s.values()) / self.seconds

    def cpu_ms_per_audio_s(self, group: str) -> float:
        return 1e3 * self.cpu_s.get(group, 0.0) / self.audio_s


@dataclass
class Level:
    num_replicas: int
    full: Load
    half: Load


def measure(options: ScaleOptions, directory: Path, echo: Echo) -> list[Level]:
    """Starts the application anew for each level. `directory` takes logs. Raises `StartupError`."""
    levels = []
    for num in options.levels:
        echo(f"starting {num} engine replicas")
        at = directory / str(num)
        at.mkdir()
        with _sleeping(options, num, at) as service:
            _wait_until_all_run(service)
            taken = options.num_slots + max(2, options.num_slots // 8)  # as `max_ongoing_requests` says
            full = asyncio.run(_load(service, options, num * taken))
            half = asyncio.run(_load(service, options, num * options.num_slots // 2))
        echo(f"{num} replicas: {full.audio_s_per_s:.1f} audio s/s, {full.busy_cores:.2f} cores busy")
        levels.append(Level(num, full, half))
    return levels


def _sleeping(options: ScaleOptions, num_replicas: int, directory: Path) -> AbstractContextManager[RunningService]:
    settings = make_settings(
        model="synthetic:tiny",  # which nobody loads
        device="cuda",
        num_gpus_per_engine=1,
        min_engine_replicas=num_replicas,
        max_engine_replicas=num_replicas,
        num_ingress_replicas=options.num_ingresses,
        max_slots=options.num_slots,
        max_waiting=1_000,
        shutdown_timeout_s=20.0,
    )
    module = ("loadtest.sleeping", json.dumps(asdict(options.plan)))
    return serving(settings, directory, is_ray=True, module=module)


def _wait_until_all_run(service: RunningService) -> None:
    deadline_s = time.monotonic() + RUNNING_TIMEOUT_S
    while SAID_WHEN_RUNNING not in service.log_path.read_text(encoding="utf-8", errors="replace"):
        if time.monotonic() > deadline_s:
            raise StartupError(f"not all engine replicas were running in {RUNNING_TIMEOUT_S:.0f} s")
        time.sleep(0.5)


async def _load(service: RunningService, options: ScaleOptions, num_at_once: int) -> Load:
    """Clients who ask again when they are answered; the first requests are spread over the time that one takes."""
    load, plan = Load(), options.plan
    started_s = time.monotonic()
    from_s = started_s + 2 * plan.service_s  # the ramp, and a round more
    until_s = from_s + options.seconds

    async def client(number: int) -> None:
        await asyncio.sleep(plan.service_s * number / num_at_once)
        while time.monotonic() < until_s:
            _take(load, await ask(service.address, _call(), plan.service_s + GRACE_S), plan, from_s, until_s)

    async with asyncio.TaskGroup() as clients:
        for number in range(num_at_once):
            clients.create_task(client(number))
        await asyncio.sleep(from_s - time.monotonic())
        cpu_s, busy_s, at_s = _cpu_s(service), _busy_s(), time.monotonic()
        await asyncio.sleep(until_s - time.monotonic())
        load.cpu_s = _difference(_cpu_s(service), cpu_s)
        load.busy_cores = (_busy_s() - busy_s) / (time.monotonic() - at_s)
    load.seconds = options.seconds
    return load


def _call() -> Call:
    body = {"input": "A text that nobody reads.", "language": "en", "response_format": "pcm"}
    return Call(SPEECH_ROUTE, json.dumps(body).encode())


def _take(load: Load, answer: Answer, plan: Plan, from_s: float, until_s: float) -> None:
    """Adds what came of an answer in the time that counts."""
    num_bytes = CHUNK_BYTES * plan.num_chunks
    if answer.end is not End.COMPLETE or answer.status != 200 or len(answer.body) != num_bytes:
        load.faults.append(f"{answer.end}, status {answer.status}, {len(answer.body)} bytes of {num_bytes}")
        return
    before = 0
    for at_s, so_far in answer.reads:
        if from_s <= at_s < until_s:
            load.audio_s += (so_far - before) / CHUNK_BYTES * CHUNK_S
            _note_chunks(load, answer, plan, at_s, range(before // CHUNK_BYTES, so_far // CHUNK_BYTES))
        before = so_far


def _note_chunks(load: Load, answer: Answer, plan: Plan, at_s: float, chunks: range) -> None:
    """How much later than their sleep chunks were whole."""
    for index in chunks:
        added = load.chunk_added_s if index else load.first_added_s
        added.append(at_s - answer.sent_s - plan.due_s(index))


def _cpu_s(service: RunningService) -> dict[str, float]:
    return {**service.tree.cpu_s(), GENERATOR: time.process_time()}


def _difference(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {group: max(0.0, seconds - before.get(group, 0.0)) for group, seconds in after.items()}


def _busy_s() -> float:
    """Core seconds that the machine has worked, for whomever (proc_stat(5): all but idle and waiting for disks)."""
    fields = [int(each) for each in (PROC / "stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / CLOCK_TICKS_HZ


def num_cores() -> int:
    return os.cpu_count() or 1
