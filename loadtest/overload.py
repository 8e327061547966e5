"""Overload: more than a service can do. What it cannot do it must refuse at once; what it takes on it must do in time.

Times count from when a request was to be sent, so that a generator that is late itself hides nothing.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random

from loadtest.arrivals import Dispatch, Due, Poisson, closed_loop, open_loop
from loadtest.judgement import REQUEST_ID, MustHear, Outcome, judge
from loadtest.recordings import new_recording
from loadtest.server import Service
from loadtest.speech import Form, Speech
from loadtest.traffic import Known
from loadtest.verdict import percentile
from loadtest.wire import Call, ask
from serve_app.bench.workload import texts_in
from serve_app.errors import StartupError

Echo = Callable[[str], None]

NEARLY_ALL = 0.9  # of the best throughput: where more at once only wait longer
NUM_TEXTS = 4
REFERENCE_S = 8.0
NORMAL_FACTOR, NORMAL_MARGIN_S = 2.0, 0.1  # of the first audio at one request at a time: what counts as normal again


@dataclass(frozen=True)
class OverloadOptions:
    """`num_places`: requests that may wait for a slot. `first_audio_timeout_s`: the service's own longest wait."""

    num_slots: int = 4
    num_places: int = 8
    first_audio_timeout_s: float = 120.0
    levels: tuple[int, ...] = (1, 2, 4, 8)
    level_s: float = 15.0  # of a rate that the storm is built on; in 6 s it is a third too high or too low
    factor: float = 4.0
    storm_s: float = 60.0
    cloned_share: float = 0.2  # of the requests bring a recording, which the service knows
    new_voice_share: float = 0.0  # of the requests bring one that nobody has sent
    deadline_s: float = 60.0  # of a request: beyond it, it hangs
    recovery_s: float = 30.0
    seed: int = 1


@dataclass(frozen=True)
class Heard:
    """One request, in seconds after it was to be sent. `first_s` is None where there was no audio."""

    outcome: Outcome
    ended_s: float
    first_s: float | None
    ended_at_s: float  # on the clock of all


@dataclass
class Level:
    """So many requests at once, each sent when the one before is over."""

    num_at_once: int
    heard: list[Heard] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate_hz(self) -> float:
        return sum(each.outcome is Outcome.OK for each in self.heard) / self.seconds

    @property
    def ttfa_p95_s(self) -> float:
        return percentile(first_audio_s(self.heard), 0.95)


@dataclass
class OverloadRecord:
    """What happened."""

    levels: list[Level] = field(default_factory=list)
    storm: list[Heard] = field(default_factory=list)
    dispatch: Dispatch = field(default_factory=Dispatch)
    started_at_s: float = 0.0  # the storm, on the clock of all
    storm_s: float = 0.0  # until its last answer
    recovery_s: float | None = None  # from the last request to the first normal answer
    generator_cpu: float = 0.0  # of a core, in the storm
    faults: list[str] = field(default_factory=list)

    @property
    def knee(self) -> Level:
        """The fewest at once that get nearly all that can be got."""
        best = max(level.rate_hz for level in self.levels)
        return next(level for level in self.levels if level.rate_hz >= NEARLY_ALL * best)

    @property
    def served_hz(self) -> float:
        """Requests that were spoken, by second of the storm."""
        return sum(each.outcome is Outcome.OK for each in self.storm) / self.storm_s

    def longest_wait_s(self, options: OverloadOptions) -> float:
        """Until the slot of a request that was let in last: the time (p95) in which those before it were served. Slots
        are taken together, so they also fall free together, in rounds of as many as there are.
        """
        num_before = options.num_slots * math.ceil(options.num_places / options.num_slots)
        ends_s = sorted(each.ended_at_s for each in self.storm if each.outcome is Outcome.OK)
        from_s = [self.started_at_s, *ends_s]
        waits_s = [later_s - earlier_s for earlier_s, later_s in zip(from_s, from_s[num_before:], strict=False)]
        return min(options.first_audio_timeout_s, percentile(waits_s, 0.95) if waits_s else math.inf)


def first_audio_s(heard: list[Heard]) -> list[float]:
    return [each.first_s for each in heard if each.outcome is Outcome.OK and each.first_s is not None]


class Overload:
    """One storm over one service."""

    def __init__(self, service: Service, options: OverloadOptions, echo: Echo) -> None:
        self._service, self._options, self._echo = service, options, echo
        self._rng = Random(options.seed)
        self._record = OverloadRecord()
        self._numbers = count()

    async def run(self) -> OverloadRecord:
        options, record = self._options, self._record
        named, cloned = await self._learn()
        for num_at_once in options.levels:
            await self._measure_level(num_at_once, self._mix(named, cloned, new=[]))
        rate_hz = options.factor * record.knee.rate_hz
        self._echo(
            f"knee at {record.knee.num_at_once} at once; {options.storm_s:g} s at {rate_hz:.1f} requests a second"
        )
        num_new = round(options.new_voice_share * rate_hz * options.storm_s)
        new = [self._speech(number, new_recording(self._rng, REFERENCE_S)) for number in range(num_new)]
        started_s, cpu_s = time.monotonic(), time.process_time()
        record.started_at_s = started_s
        record.dispatch = await self._storm(self._mix(named, cloned, [(each.call(), MustHear(each)) for each in new]))
        record.storm_s = time.monotonic() - started_s
        record.generator_cpu = (time.process_time() - cpu_s) / record.storm_s
        record.recovery_s = await self._recovery_s(named, started_s + options.storm_s)
        return record

    # -- phases --------------------------------------------------------------------------------------------------------

    async def _learn(self) -> tuple[list[Known], list[Known]]:
        """Requests in a named voice and in a cloned one, each heard alone."""
        reference = new_recording(self._rng, REFERENCE_S)
        named = [await self._alone(self._speech(number, None)) for number in range(NUM_TEXTS)]
        return named, [await self._alone(self._speech(number, reference)) for number in range(NUM_TEXTS)]

    def _speech(self, number: int, reference: bytes | None) -> Speech:
        texts = texts_in(["en"])
        language, text = texts[0]
        form = Form.PCM_STREAM if reference is None else Form.UPLOAD
        return Speech(form, text, language, seed=number, reference=reference)

    async def _alone(self, speech: Speech) -> Known:
        must = MustHear(speech)
        answer = await ask(self._service.address, speech.call(), self._options.deadline_s)
        judgement = judge(must, answer.headers.get(REQUEST_ID, ""), answer, is_disrupted=False)
        if judgement.digest is None:
            raise StartupError(f"a request alone was not answered: {judgement.why or answer.status}")
        return Known(speech, judgement.digest)

    def _mix(
        self, named: list[Known], cloned: list[Known], new: list[tuple[Call, MustHear]]
    ) -> Iterator[tuple[Call, MustHear]]:
        options, unused = self._options, iter(new)
        while True:
            chance = self._rng.random()
            if chance < options.new_voice_share and (planned := next(unused, None)) is not None:
                yield planned
                continue
            is_cloned = chance < options.new_voice_share + options.cloned_share
            known = self._rng.choice(cloned if is_cloned else named)
            yield known.call, MustHear(known.speech, known.digest)

    async def _measure_level(self, num_at_once: int, mix: Iterator[tuple[Call, MustHear]]) -> None:
        level = Level(num_at_once)

        async def send(due: Due) -> None:
            level.heard.append(await self._exchange(*next(mix), due.at_s))

        level.seconds = await closed_loop(send, num_at_once, self._options.level_s)
        self._record.levels.append(level)
        self._echo(
            f"{num_at_once} at once: {level.rate_hz:.2f} requests a second, "
            f"first audio p95 {1e3 * level.ttfa_p95_s:.0f} ms"
        )

    async def _storm(self, mix: Iterator[tuple[Call, MustHear]]) -> Dispatch:
        options, record = self._options, self._record

        async def send(due: Due) -> None:
            record.storm.append(await self._exchange(*next(mix), due.at_s))

        rate_hz = options.factor * record.knee.rate_hz
        return await open_loop(send, Poisson(rate_hz, options.storm_s, self._rng))

    async def _recovery_s(self, named: list[Known], over_s: float) -> float | None:
        """Seconds from the storm's end to the first request that is served as on a calm day; None where none is."""
        calm_s = NORMAL_FACTOR * self._record.levels[0].ttfa_p95_s + NORMAL_MARGIN_S
        while time.monotonic() < over_s + self._options.recovery_s:
            heard = await self._exchange(named[0].call, MustHear(named[0].speech, named[0].digest), time.monotonic())
            if heard.outcome is Outcome.OK and heard.first_s is not None and heard.first_s <= calm_s:
                return time.monotonic() - over_s
        return None

    async def _exchange(self, call: Call, must: MustHear, due_s: float) -> Heard:
        request_id = f"overload-{next(self._numbers)}"
        call = replace(call, headers={REQUEST_ID: request_id})
        answer = await ask(self._service.address, call, self._options.deadline_s)
        judgement = judge(must, request_id, answer, is_disrupted=False)
        if judgement.outcome is Outcome.FAULT:
            self._record.faults.append(judgement.why)
        first_s = None if answer.first_body_s is None else answer.first_body_s - due_s
        return Heard(judgement.outcome, answer.ended_s - due_s, first_s, answer.ended_s)
