"""A stage of a load test, and its figures."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean

from loadtest.heard import Ending, Heard
from loadtest.verdict import percentile
from loadtest.watch import Reading

SHARES = (0.5, 0.9, 0.95, 0.99, 1.0)


class Loop(StrEnum):
    """Who decides when a request is sent: the answer before it, or the clock."""

    CLOSED = "closed"
    OPEN = "open"


@dataclass(frozen=True)
class Stage:
    """A load that was held for a while. `level` is how many at once in a closed loop, requests a second in an open one.

    All moments are on one clock. Figures are of `window_s`, when the load was at its level.
    """

    loop: Loop
    level: float
    window_s: tuple[float, float]
    heard: Sequence[Heard]
    readings: Sequence[Reading] = ()
    generator_cpu: float = 0.0  # of a core

    @property
    def name(self) -> str:
        return f"{self.level:g} at once" if self.loop is Loop.CLOSED else f"{self.level:.3g} requests/s"


@dataclass(frozen=True)
class Spread:
    """Percentiles in the unit of the values; None where there were none."""

    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Spread":
        there = sorted(value for value in values if value is not None)
        return cls(*(percentile(there, share) for share in SHARES)) if there else cls()


@dataclass(frozen=True)
class Summary:
    """The figures of a stage's window. Times are seconds from when a request was to be sent."""

    loop: Loop
    level: float
    seconds: float
    num_requests: int  # that were to be sent in the window
    endings: dict[str, int]
    served_hz: float  # requests that ended well in the window, a second
    audio_s_per_s: float  # that came in the window, as a listener gets it
    ttfa_s: Spread  # of requests that were served, streams only
    total_s: Spread
    rtf: Spread  # of streams
    gap_s: Spread  # largest of each stream
    underruns_per_minute: float  # of audio
    stalled_share: float  # of the time in which listeners would have heard speech
    lag_p99_s: float  # of the generator
    generator_cpu: float
    means: dict[str, float] = field(default_factory=dict)  # of the readings, by their names

    @property
    def offered_hz(self) -> float:
        """What came of the level that was asked for, by chance."""
        return self.num_requests / self.seconds

    @property
    def not_served_share(self) -> float:
        num_served = self.endings.get(Ending.OK, 0)
        return (self.num_requests - num_served) / self.num_requests if self.num_requests else 1.0

    @property
    def num_errors(self) -> int:
        """Neither served nor politely refused."""
        return sum(num for ending, num in self.endings.items() if ending not in (Ending.OK, Ending.BUSY))


def milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1e3 * seconds:.0f} ms"


def summarize(stage: Stage) -> Summary:
    start_s, end_s = stage.window_s
    meant = [each for each in stage.heard if start_s <= each.intended_s < end_s]
    served = [each for each in meant if each.is_ok]
    streams = [each for each in served if each.is_stream]
    audio_s = sum(each.audio_seconds for each in streams)
    stalled_s = sum(each.stalled_s for each in streams)
    return Summary(
        loop=stage.loop,
        level=stage.level,
        seconds=end_s - start_s,
        num_requests=len(meant),
        endings=dict(Counter(str(each.outcome) for each in meant)),
        served_hz=sum(each.is_ok and start_s <= each.ended_s < end_s for each in stage.heard) / (end_s - start_s),
        audio_s_per_s=sum(_audio_in(each, start_s, end_s) for each in stage.heard) / (end_s - start_s),
        ttfa_s=Spread.of(each.ttfa_s for each in streams),
        total_s=Spread.of(each.total_s for each in served),
        rtf=Spread.of(each.rtf for each in streams),
        gap_s=Spread.of(each.largest_gap_s for each in streams),
        underruns_per_minute=60.0 * sum(each.num_underruns for each in streams) / audio_s if audio_s else 0.0,
        stalled_share=stalled_s / (stalled_s + audio_s) if audio_s else 0.0,
        lag_p99_s=percentile([each.lag_s for each in meant], 0.99),
        generator_cpu=stage.generator_cpu,
        means=_means(stage.readings, start_s, end_s),
    )


def _audio_in(heard: Heard, start_s: float, end_s: float) -> float:
    """Seconds of its audio that came in the window, were they spread evenly over the time in which they came."""
    if not heard.is_ok or heard.first_audio_s is None:
        return 0.0
    came_s = heard.ended_s - heard.first_audio_s
    if came_s <= 0.0:
        return heard.audio_seconds if start_s <= heard.ended_s < end_s else 0.0
    overlap_s = min(heard.ended_s, end_s) - max(heard.first_audio_s, start_s)
    return heard.audio_seconds * max(0.0, overlap_s) / came_s


def _means(readings: Sequence[Reading], start_s: float, end_s: float) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for reading in readings:
        if start_s <= reading.at_s < end_s:
            for name, value in reading.values.items():
                found.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in sorted(found.items())}
