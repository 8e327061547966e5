"""A real service under three loads, recorded as the simulation wants it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from random import Random

from loadtest.arrivals import Due, Poisson, closed_loop, open_loop
from loadtest.client import Client
from loadtest.heard import Heard
from loadtest.planner.calibration import Load, Run, Spoken
from loadtest.planner.workload import Workload as Assumed
from loadtest.target import Target
from loadtest.workload.presets import PRESETS
from loadtest.workload.request import Request
from loadtest.workload.workload import MakeRecording, Workload
from serve_app.errors import StartupError
from serve_app.text.languages import expected_codes
from serve_app.text.sentences import split_sentences

Echo = Callable[[str], None]

DEADLINE_S = 300.0


@dataclass(frozen=True)
class CalibrationOptions:
    """`shares` are of what the service does with all its slots taken."""

    shares: tuple[float, ...] = (0.3, 0.5, 0.7)
    seconds: float = 120.0  # of each load
    num_slots: int = 8
    workload: str = "chat"
    seed: int = 1

    def __post_init__(self) -> None:
        assert self.shares and all(0.0 < share < 1.0 for share in self.shares)
        assert self.seconds > 0.0 and self.num_slots > 0 and self.workload in PRESETS


class Calibration:
    """Of a service that is ready and has no other traffic."""

    def __init__(
        self, target: Target, options: CalibrationOptions, echo: Echo, record: MakeRecording | None = None
    ) -> None:
        self._target, self._options, self._echo, self._record = target, options, echo, record
        self._client = Client(target.address, DEADLINE_S, name="calibrate", headers=target.headers)

    async def run(self) -> Run:
        """Raises `StartupError` where the service does not answer."""
        options = self._options
        about = await self._target.about()
        try:
            workload = Workload(PRESETS[options.workload], options.seed, about.languages, self._record)
        except ValueError as error:
            raise StartupError(str(error)) from error
        await self._client.warm_up(workload)
        full = await self._full(workload)
        self._echo(f"{options.num_slots} at once: {full.rate_hz:.2f} requests a second")
        loads = [await self._load(workload, share, share * full.rate_hz) for share in options.shares]
        return Run(options.num_slots, full, loads)

    async def _full(self, workload: Workload) -> Load:
        """A closed loop, as many at once as there are slots."""
        answered: list[tuple[Request, Heard]] = []

        async def send(due: Due) -> None:
            request = workload.next()
            answered.append((request, await self._client.speak(request, due.at_s)))

        start_s = asyncio.get_running_loop().time()
        seconds = await closed_loop(send, self._options.num_slots, self._options.seconds)
        spoken = _all_spoken(answered, start_s)
        return Load(1.0, len(spoken) / seconds, spoken, len(answered) - len(spoken))

    async def _load(self, workload: Workload, share: float, rate_hz: float) -> Load:
        """At random times, drawn before, because making a recording takes a while."""
        options = self._options
        arrivals = list(Poisson(rate_hz, options.seconds, Random(f"{options.seed} {share}")))
        if not arrivals:
            raise StartupError(f"{rate_hz:.3f} requests a second are none in {options.seconds:g} s: take longer")
        requests = [workload.next() for _ in arrivals]
        asked, answered = iter(requests), list[tuple[Request, Heard]]()

        async def send(due: Due) -> None:
            request = next(asked)
            answered.append((request, await self._client.speak(request, due.at_s)))

        start_s = asyncio.get_running_loop().time()
        await open_loop(send, arrivals)
        spoken = _all_spoken(answered, start_s)
        self._echo(f"{share:.0%}: {len(spoken)} of {len(requests)} requests served")
        return Load(share, rate_hz, spoken, len(requests) - len(spoken))


def _all_spoken(answered: Sequence[tuple[Request, Heard]], start_s: float) -> list[Spoken]:
    """What was served, by when it was sent. Raises `StartupError` where no stream was."""
    spoken = [_spoken(request, heard, start_s) for request, heard in answered if heard.is_ok]
    if not any(each.is_streamed for each in spoken):
        said = f": {answered[0][1].outcome}, {answered[0][1].why}" if answered else ""
        raise StartupError(f"no stream was served{said}. Take longer, or look at the service.")
    return sorted(spoken, key=lambda each: each.sent_s)


def _spoken(request: Request, heard: Heard, start_s: float) -> Spoken:
    assert heard.first_audio_s is not None, "what was served has audio"
    return Spoken(
        sent_s=heard.intended_s - start_s,
        first_s=heard.first_audio_s - start_s,
        last_s=heard.ended_s - start_s,
        audio_s=heard.audio_seconds,
        num_chars=heard.num_chars,
        num_sentences=num_sentences(request.text.text, request.text.language),
        is_streamed=heard.is_stream,
        is_cold=heard.is_cold,
    )


def num_sentences(text: str, language: str) -> int:
    """As the service cuts it, but for what the reading of numbers changes."""
    pieces = split_sentences(
        text,
        language,
        count_tokens=lambda piece: ceil(len(piece) / Assumed.chars_per_token),
        expected_codes=lambda piece: expected_codes(piece, language),
    )
    return max(1, len(pieces))
