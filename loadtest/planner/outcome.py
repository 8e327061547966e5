"""What came of a run: a row for each request, the fleet second by second, and what an objective says of both."""

from array import array
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from loadtest.planner.fleet import Fleet
from loadtest.planner.profile import STRICT
from loadtest.planner.request import Ending, Request
from loadtest.planner.traffic import Floats

MIN_WINDOW_REQUESTS = 200  # a percentile of fewer says little: their window is joined to the next


@dataclass(frozen=True)
class Objective:
    """What must hold. Times hold in each window of the traffic, so that a quiet night does not excuse a morning; errors
    are counted over all of it.
    """

    __pydantic_config__ = STRICT

    ttfa_p95_s: float = 1.0
    rtf_p95: float = 1.0
    max_stalled_share: float = 0.05  # of streams: their player ran dry, though it had begun 0.2 s late
    max_error_share: float = 0.001
    window_s: float = 300.0


@dataclass(frozen=True)
class Tables:
    """A row a request, in the order of sending. Of those that were not answered, times are NaN."""

    sent_s: Floats
    ending: npt.NDArray[np.int8]  # `Ending.value`
    is_streamed: npt.NDArray[np.bool_]
    ttfa_s: Floats  # of one that is not streamed, until all of it is there
    rtf: Floats  # from first to last audio by seconds of audio; not streamed, from sending
    audio_s: Floats
    stalled_s: Floats  # the player of a stream had nothing to play

    @property
    def is_ok(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.ending == Ending.OK.value)


class Records:
    """Requests that are over."""

    def __init__(self) -> None:
        self._values = array("d")  # seven a request: an hour of a large fleet has millions
        self.num_over = 0

    def add(self, request: Request, ending: Ending) -> None:
        assert request.ending is None, "a request ends once"
        request.ending = ending
        ttfa_s = rtf = stalled_s = float("nan")
        if ending is Ending.OK:
            since_s = request.first_s if request.is_streamed else request.sent_s
            ttfa_s = (request.first_s if request.is_streamed else request.last_s) - request.sent_s
            rtf = (request.last_s - since_s) / request.audio_s
            stalled_s = request.stalled_s if request.is_streamed else 0.0
        row = (request.sent_s, ending.value, request.is_streamed, ttfa_s, rtf, request.audio_s, stalled_s)
        self._values.extend(row)
        self.num_over += 1

    def tables(self) -> Tables:
        table = np.array(self._values, dtype=np.float64).reshape(-1, 7)
        sent, ending, streamed, ttfa, rtf, audio, stalled = table[np.argsort(table[:, 0], kind="stable")].T
        return Tables(sent, ending.astype(np.int8), streamed.astype(bool), ttfa, rtf, audio, stalled)


@dataclass
class Timeline:
    """The fleet at each second. `whole` is what a simulated replica stands for."""

    whole: float
    rows: list[tuple[float, ...]] = field(default_factory=list)

    NAMES = ("time_s", "wanted", "running", "starting", "paid", "ongoing", "queued", "slots_taken")

    def add(self, now_s: float, target: int, fleet: Fleet, num_queued: int) -> None:
        counts = (
            len(fleet.running),
            len(fleet.starting),
            fleet.num_paid,
            sum(len(replica.requests) for replica in (*fleet.running, *fleet.draining)),
            num_queued,
            sum(replica.engine.num_running for replica in (*fleet.running, *fleet.draining)),
        )
        self.rows.append((now_s, target, *(count * self.whole for count in counts)))

    def column(self, name: str) -> Floats:
        return np.array(self.rows, dtype=np.float64)[:, self.NAMES.index(name)]


@dataclass(frozen=True)
class Figures:
    """Of a part of the traffic."""

    num_requests: int
    error_share: float
    ttfa_p50_s: float
    ttfa_p95_s: float
    ttfa_p99_s: float
    rtf_p95: float
    stalled_share: float  # of the streams

    def keeps_times(self, objective: Objective) -> bool:
        return (
            self.ttfa_p95_s <= objective.ttfa_p95_s
            and self.rtf_p95 < objective.rtf_p95
            and self.stalled_share <= objective.max_stalled_share
        )


@dataclass(frozen=True)
class Window:
    """Requests sent from `start_s` until `end_s`."""

    start_s: float
    end_s: float
    figures: Figures


@dataclass(frozen=True)
class Outcome:
    """`share` is the part of the fleet that was simulated; replicas and seconds paid for are those of the whole."""

    tables: Tables
    timeline: Timeline
    duration_s: float
    share: float
    paid_s: float  # node-seconds
    num_unfinished: int
    num_events: int
    cpu_s: float

    @property
    def audio_s(self) -> float:
        """Spoken, of the whole fleet."""
        return float(self.tables.audio_s[self.tables.is_ok].sum()) / self.share

    def num_of(self, ending: Ending) -> int:
        """Of the simulated part."""
        return int((self.tables.ending == ending.value).sum())

    @property
    def figures(self) -> Figures:
        return self._figures(np.ones(len(self.tables.sent_s), dtype=bool), self.num_unfinished)

    def windows(self, window_s: float) -> list[Window]:
        """Parts of `window_s`, joined where they hold few requests."""
        sent_s = self.tables.sent_s
        found: list[Window] = []
        start_s, end_s = 0.0, window_s
        while start_s < self.duration_s:
            is_last = end_s >= self.duration_s
            chosen = (sent_s >= start_s) & ((sent_s < end_s) | is_last)
            if chosen.sum() >= MIN_WINDOW_REQUESTS or (is_last and (chosen.any() or not found)):
                found.append(Window(start_s, min(end_s, self.duration_s), self._figures(chosen)))
                start_s = end_s
            elif is_last:
                break
            end_s += window_s
        return found

    def worst(self, objective: Objective) -> Window:
        """The window with the latest first audio."""
        return max(self.windows(objective.window_s), key=lambda each: _rank(each.figures.ttfa_p95_s))

    def keeps(self, objective: Objective) -> bool:
        """A run in which nothing was asked keeps all."""
        if not len(self.tables.sent_s):
            return True
        if self.figures.error_share > objective.max_error_share:
            return False
        return all(each.figures.keeps_times(objective) for each in self.windows(objective.window_s))

    def _figures(self, chosen: npt.NDArray[np.bool_], num_unfinished: int = 0) -> Figures:
        tables = self.tables
        ok, number = chosen & tables.is_ok, int(chosen.sum()) + num_unfinished
        heard = ok & tables.is_streamed if (ok & tables.is_streamed).any() else ok
        p50, p95, p99 = (_percentile(tables.ttfa_s[heard], share) for share in (50, 95, 99))
        return Figures(
            num_requests=number,
            error_share=(number - int(ok.sum())) / max(1, number),
            ttfa_p50_s=p50,
            ttfa_p95_s=p95,
            ttfa_p99_s=p99,
            rtf_p95=_percentile(tables.rtf[ok], 95),
            stalled_share=float((tables.stalled_s[heard] > 0.0).mean()) if heard.any() else 0.0,
        )


def _percentile(values: Floats, share: int) -> float:
    """NaN of none: an objective that nothing met is not kept."""
    return float(np.percentile(values, share)) if len(values) else float("nan")


def _rank(value: float) -> float:
    return float("inf") if np.isnan(value) else value
