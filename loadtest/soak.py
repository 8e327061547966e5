"""A soak: hours of a service's life in minutes. Mixed traffic below its capacity, misuse, leavers and killed engines;
every answer is judged, and at rest the service must hold no more than it held before.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from loadtest.arrivals import Dispatch, Poisson, closed_loop, open_loop
from loadtest.gauges import Gauges
from loadtest.judgement import REQUEST_ID, Disruptions, Judgement, MustHear, Outcome, judge
from loadtest.resources import UsageByRole, middle
from loadtest.server import Service
from loadtest.speech import Speech
from loadtest.traffic import Known, Planned, Traffic, catalogue, long_speech
from loadtest.wire import Answer, Call, ask
from serve_app.errors import StartupError

Echo = Callable[[str], None]

FILL_AT_ONCE = 2
RECOVERY_S = 60.0
GRACE_S = 2.0  # after a recovery: who asked just before it
LAST_KILL = 0.7  # of the time, so that the last engine too has a life to be measured
SAMPLE_PERIOD_S = 5.0
NUM_READINGS, READING_PERIOD_S = 5, 0.5
IDLE_TIMEOUT_S = 60.0  # Ray exports its gauges some seconds late
MAX_FAULTS_KEPT = 20


@dataclass(frozen=True)
class SoakOptions:
    """`rate_hz` 0 takes `share_of_capacity` of what a closed loop gets at `calibrate_at_once`."""

    minutes: float = 20.0
    warm_up_s: float = 60.0
    rest_s: float = 10.0
    rate_hz: float = 0.0
    share_of_capacity: float = 0.4
    calibrate_s: float = 10.0
    calibrate_at_once: int = 8
    num_filling_voices: int = 60  # new voices before all else, so that every cache of them is full
    kill_every_s: float | None = None
    deadline_s: float = 60.0  # of a request: beyond it, it hangs
    num_replayed: int = 40  # requests in new voices that are asked again alone
    seed: int = 1

    @property
    def kills_s(self) -> list[float]:
        """When engines are killed, from the soak's start."""
        if self.kill_every_s is None:
            return []
        last_s = LAST_KILL * self.minutes * 60.0
        times_s, now_s = [], self.kill_every_s / 2
        while now_s <= last_s:
            times_s.append(now_s)
            now_s += self.kill_every_s
        return times_s


@dataclass
class Record:
    """What happened."""

    outcomes: dict[str, Counter[Outcome]] = field(default_factory=lambda: defaultdict(Counter))
    ttfa_s: list[float] = field(default_factory=list)  # of streams, outside disruptions
    faults: list[str] = field(default_factory=list)
    num_faults: int = 0
    num_owed: int = 0  # audio owed outside disruptions
    num_paid: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    samples: list[tuple[float, UsageByRole]] = field(default_factory=list)  # seconds since the soak's start
    num_replayed: int = 0
    capacity_hz: float = 0.0
    rate_hz: float = 0.0
    dispatch: Dispatch = field(default_factory=Dispatch)
    generator_cpu: float = 0.0  # of a core
    before: UsageByRole = field(default_factory=dict)
    after: UsageByRole = field(default_factory=dict)
    gauges_before: Gauges = field(default_factory=Gauges)
    gauges_after: Gauges = field(default_factory=Gauges)
    voice_bytes_before: int = 0
    voice_bytes_after: int = 0
    troubles: list[str] = field(default_factory=list)

    def fault(self, why: str) -> None:
        self.num_faults += 1
        if len(self.faults) < MAX_FAULTS_KEPT:
            self.faults.append(why)


class Soak:
    """One soak of one service."""

    def __init__(self, service: Service, options: SoakOptions, echo: Echo) -> None:
        self._service, self._options, self._echo = service, options, echo
        self._rng = Random(options.seed)
        self._record = Record()
        self._disruptions = Disruptions()
        self._num_asked = 0
        self._cloned: list[tuple[Speech, bytes]] = []  # what was heard in new voices, to be asked again
        self._num_cloned = 0
        self._is_recorded = False

    async def run(self) -> Record:
        options, record = self._options, self._record
        traffic = await self._learn()
        self._echo(f"filling caches with {options.num_filling_voices} new voices")
        await self._fill(traffic)
        record.capacity_hz = await self._capacity_hz(traffic)
        record.rate_hz = options.rate_hz or options.share_of_capacity * record.capacity_hz
        self._echo(f"warming up for {options.warm_up_s:g} s at {record.rate_hz:.1f} requests a second")
        await open_loop(lambda _: self._send(traffic.next()), Poisson(record.rate_hz, options.warm_up_s, self._rng))
        record.before, record.gauges_before, record.voice_bytes_before = await self._at_rest()
        await self._soak(traffic)
        record.after, record.gauges_after, record.voice_bytes_after = await self._at_rest()
        await self._replay()
        record.troubles = self._service.troubles()
        return record

    # -- phases --------------------------------------------------------------------------------------------------------

    async def _learn(self) -> Traffic:
        """What each known request sounds like alone."""
        answer = await ask(self._service.address, Call("/health", method="GET"), self._options.deadline_s)
        languages = answer.json()["supported_languages"]
        known = [await self._alone(speech) for speech in catalogue(languages, self._rng)]
        self._echo(f"learnt {len(known)} requests, each alone")
        return Traffic(known, await self._alone(long_speech(languages)), self._rng)

    async def _alone(self, speech: Speech) -> Known:
        planned = Planned("known", speech.call(), MustHear(speech))
        answer, judgement = await self._exchange(planned)
        if judgement.digest is None:
            raise StartupError(f"a request alone was not answered: {judgement.why or answer.status}")
        return Known(speech, judgement.digest)

    async def _fill(self, traffic: Traffic) -> None:
        todo = iter(range(self._options.num_filling_voices))

        async def client() -> None:
            for _ in todo:
                await self._send(traffic.new_voice())

        await asyncio.gather(*(client() for _ in range(FILL_AT_ONCE)))

    async def _capacity_hz(self, traffic: Traffic) -> float:
        if self._options.rate_hz:
            return 0.0
        num_before, at_once = self._num_asked, self._options.calibrate_at_once
        seconds = await closed_loop(lambda _: self._send(traffic.next()), at_once, self._options.calibrate_s)
        return (self._num_asked - num_before) / seconds

    async def _soak(self, traffic: Traffic) -> None:
        options, record = self._options, self._record
        self._echo(f"soaking for {options.minutes:g} minutes")
        started_s, cpu_s = time.monotonic(), time.process_time()
        self._is_recorded = True
        watch = asyncio.create_task(self._watch(started_s))
        kills = asyncio.create_task(self._kill(traffic, started_s))
        record.dispatch = await open_loop(
            lambda _: self._send(traffic.next()), Poisson(record.rate_hz, 60.0 * options.minutes, self._rng)
        )
        await kills
        self._is_recorded = False
        watch.cancel()
        record.generator_cpu = (time.process_time() - cpu_s) / (time.monotonic() - started_s)

    async def _watch(self, started_s: float) -> None:
        while True:
            usage = await asyncio.to_thread(self._service.usage)
            self._record.samples.append((time.monotonic() - started_s, usage))
            await asyncio.sleep(SAMPLE_PERIOD_S)

    async def _kill(self, traffic: Traffic, started_s: float) -> None:
        for due_s in self._options.kills_s:
            await asyncio.sleep(max(0.0, started_s + due_s - time.monotonic()))
            killed_s = time.monotonic()
            self._disruptions.begin(killed_s)
            await asyncio.to_thread(self._service.kill_engine)
            if not await self._speaks_again(traffic, killed_s + RECOVERY_S):
                self._record.fault(f"no speech {RECOVERY_S:g} s after the engine was killed")
            recovered_s = time.monotonic() - killed_s
            self._record.recoveries_s.append(recovered_s)
            await asyncio.sleep(GRACE_S)
            self._disruptions.end(time.monotonic())
            self._echo(f"killed the engine; speech again after {recovered_s:.1f} s")

    async def _speaks_again(self, traffic: Traffic, until_s: float) -> bool:
        probe = traffic.probe()
        while time.monotonic() < until_s:
            answer, judgement = await self._exchange(probe)
            if judgement.outcome is Outcome.OK:
                return True
            if judgement.outcome is Outcome.FAULT:
                self._record.fault(f"after a kill: {judgement.why}")
            await asyncio.sleep(0.2 if answer.status else 1.0)
        return False

    async def _at_rest(self) -> tuple[UsageByRole, Gauges, int]:
        """What the service holds when nobody asks: its processes, its own count of its work, its voices on disk."""
        await asyncio.sleep(self._options.rest_s)
        deadline_s = time.monotonic() + IDLE_TIMEOUT_S
        gauges = await self._service.gauges()
        while not gauges.is_idle and time.monotonic() < deadline_s:
            await asyncio.sleep(1.0)
            gauges = await self._service.gauges()
        readings = []
        for _ in range(NUM_READINGS):
            readings.append(await asyncio.to_thread(self._service.usage))
            await asyncio.sleep(READING_PERIOD_S)
        return middle(readings), gauges, self._service.num_voice_bytes()

    async def _replay(self) -> None:
        """Requests in voices that were new, asked again alone: each must sound as it did in the crowd."""
        self._echo(f"asking {len(self._cloned)} requests in new voices again, alone")
        for speech, digest in self._cloned:
            _, judgement = await self._exchange(Planned("replayed", speech.call(), MustHear(speech, digest)))
            self._record.num_replayed += 1
            if judgement.outcome is not Outcome.OK:
                self._record.fault(f"replayed, {speech.form}: {judgement.why or judgement.outcome}")

    # -- one request ---------------------------------------------------------------------------------------------------

    async def _send(self, planned: Planned) -> None:
        answer, judgement = await self._exchange(planned)
        is_disrupted = self._disruptions.met(answer)
        record = self._record
        if judgement.outcome is Outcome.FAULT:
            record.fault(f"{planned.kind} {planned.call.method} {planned.call.path}: {judgement.why}")
        if not self._is_recorded:
            return
        record.outcomes[planned.kind][judgement.outcome] += 1
        if not isinstance(planned.must, MustHear):
            return
        if not is_disrupted:
            record.num_owed += 1
            record.num_paid += judgement.outcome is Outcome.OK
            if answer.first_body_s is not None and not planned.must.speech.is_whole and planned.kind == "known":
                record.ttfa_s.append(answer.first_body_s - answer.sent_s)
        if planned.must.digest is None and judgement.digest is not None:
            self._keep_cloned(planned.must.speech, judgement.digest)

    async def _exchange(self, planned: Planned) -> tuple[Answer, Judgement]:
        self._num_asked += 1
        request_id = f"soak-{self._num_asked}"
        call = replace(planned.call, headers={REQUEST_ID: request_id, **planned.call.headers})
        answer = await ask(self._service.address, call, self._options.deadline_s, planned.manners)
        is_disrupted = self._disruptions.met(answer)
        return answer, judge(planned.must, request_id, answer, is_disrupted=is_disrupted)

    def _keep_cloned(self, speech: Speech, digest: bytes) -> None:
        """Every one with the same probability, whenever it came (Vitter's algorithm R)."""
        self._num_cloned += 1
        if len(self._cloned) < self._options.num_replayed:
            self._cloned.append((speech, digest))
        elif (place := self._rng.randrange(self._num_cloned)) < self._options.num_replayed:
            self._cloned[place] = (speech, digest)
