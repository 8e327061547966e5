"""The simulation held against a real run: the same requests at the same times, and how far apart the figures are.

A profile's parts were measured alone. In a whole service they share cores with HTTP, encoders and each other, and take
longer: by one factor, which is found where all slots are taken and then has to hold at every other load.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np

from loadtest.planner.options import Scaling
from loadtest.planner.profile import Profile
from loadtest.planner.request import Request
from loadtest.planner.simulation import Scenario, simulate
from loadtest.planner.traffic import Floats, constant
from loadtest.planner.workload import Workload
from loadtest.verdict import Check, table
from serve_app.engine.sequence import PREFIX_EXTRA_ROWS

MAX_OFF = {"audio_s_per_s": 0.2, "ttfa_p50_s": 0.2, "ttfa_p95_s": 0.3}  # of what was measured
SLOWDOWNS, FIT_STEPS = (0.25, 16.0), 12  # looked for within these, to a thousandth
NAMES = {"audio_s_per_s": "audio a second", "ttfa_p50_s": "first audio p50", "ttfa_p95_s": "first audio p95"}


@dataclass(frozen=True)
class Spoken:
    """One request that was served. Moments are seconds from the start of its load."""

    sent_s: float
    first_s: float  # its first audio was there
    last_s: float
    audio_s: float
    num_chars: int
    num_sentences: int
    is_streamed: bool
    is_cold: bool


@dataclass(frozen=True)
class Load:
    """A rate that was held. `share` is that of what the service does at most; `num_lost` were not served."""

    share: float
    rate_hz: float
    spoken: Sequence[Spoken]
    num_lost: int = 0


@dataclass(frozen=True)
class Run:
    """`full`: a closed loop of so many clients, in the order of sending, in which `rate_hz` is what came of it."""

    num_at_once: int
    full: Load
    loads: Sequence[Load]


def read_run(saved: dict[str, Any]) -> Run:
    """A run from its dictionary. Raises `ValueError` where it is none."""

    def load(fields: dict[str, Any]) -> Load:
        return Load(**{**fields, "spoken": [Spoken(**each) for each in fields["spoken"]]})

    try:
        return Run(saved["num_at_once"], load(saved["full"]), [load(each) for each in saved["loads"]])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{error!r}") from error


@dataclass(frozen=True)
class Figures:
    """`ttfa_…`: of the streams, from when they were sent."""

    audio_s_per_s: float
    ttfa_p50_s: float
    ttfa_p95_s: float

    @classmethod
    def of(cls, audio_s: Floats, ttfa_s: Floats, seconds: float) -> "Figures":
        p50, p95 = np.percentile(ttfa_s, (50, 95))
        return cls(float(audio_s.sum()) / seconds, float(p50), float(p95))


def measured(load: Load) -> Figures:
    spoken = load.spoken
    ttfa_s = np.array([each.first_s - each.sent_s for each in spoken if each.is_streamed])
    seconds = max(each.last_s for each in spoken) - min(each.sent_s for each in spoken)
    return Figures.of(np.array([each.audio_s for each in spoken]), ttfa_s, seconds)


def simulated(profile: Profile, load: Load) -> Figures:
    """What the simulation says of one replica that meets the load's requests when they were sent."""
    return _played(profile, load, num_at_once=0)


def _played(profile: Profile, load: Load, num_at_once: int) -> Figures:
    trace = [_request(each, profile) for each in load.spoken]
    scenario = Scenario(profile, constant(0.0, max(each.sent_s for each in trace) + 1.0), Workload(), Scaling.fixed(1))
    tables = simulate(scenario, trace=trace, num_at_once=num_at_once).tables
    ok = tables.is_ok
    if not (ok & tables.is_streamed).any():
        return Figures(0.0, float("inf"), float("inf"))  # none ended in all that time
    since_s = tables.sent_s + np.where(tables.is_streamed, tables.ttfa_s, 0.0)
    last_s = (since_s + tables.rtf * tables.audio_s)[ok]
    return Figures.of(
        tables.audio_s[ok], tables.ttfa_s[ok & tables.is_streamed], float(last_s.max() - tables.sent_s.min())
    )


def fitted(profile: Profile, run: Run) -> Profile:
    """With the slowdown at which a closed loop gives the audio a second that it gave."""
    real = measured(run.full).audio_s_per_s
    low, high = SLOWDOWNS
    for _ in range(FIT_STEPS):
        middle = (low * high) ** 0.5
        tried = profile.model_copy(update={"slowdown": middle})
        if _played(tried, run.full, run.num_at_once).audio_s_per_s > real:
            low = middle
        else:
            high = middle
    return profile.model_copy(update={"slowdown": round((low * high) ** 0.5, 3)})


def _request(spoken: Spoken, profile: Profile) -> Request:
    """Its sentences are as long as each other, and together as long as it was."""
    codes = max(1, round(spoken.audio_s * profile.codes_per_s / spoken.num_sentences))
    num_tokens = ceil(spoken.num_chars / spoken.num_sentences / Workload.chars_per_token)
    shape = spoken.num_sentences, codes, PREFIX_EXTRA_ROWS + num_tokens
    return Request(spoken.sent_s, shape, is_cold=spoken.is_cold, is_streamed=spoken.is_streamed)


@dataclass(frozen=True)
class Comparison:
    load: Load
    measured: Figures
    simulated: Figures

    def off(self, name: str) -> float:
        """The share by which the simulation is above what was measured."""
        return float(getattr(self.simulated, name) / getattr(self.measured, name) - 1.0)


def compared(profile: Profile, loads: Sequence[Load]) -> list[Comparison]:
    return [Comparison(load, measured(load), simulated(profile, load)) for load in loads]


def checks(comparisons: Sequence[Comparison]) -> Iterator[Check]:
    for each in comparisons:
        load, real, played = each.load, asdict(each.measured), asdict(each.simulated)
        yield Check(f"{load.share:.0%}: all served", not load.num_lost, f"{load.num_lost} were not")
        for name, most in MAX_OFF.items():
            off = each.off(name)
            yield Check(
                f"{load.share:.0%}: {NAMES[name]} within {most:.0%}",
                abs(off) <= most,
                f"{real[name]:.3f} measured, {played[name]:.3f} simulated, {off:+.0%}",
            )


def lines(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """A table in Markdown."""
    head = ("load", "requests/s", "requests", *(f"{name}: measured, simulated" for name in NAMES.values()))
    rows = []
    for each in comparisons:
        load, real, played = each.load, asdict(each.measured), asdict(each.simulated)
        pairs = (f"{real[name]:.2f}, {played[name]:.2f} ({each.off(name):+.0%})" for name in NAMES)
        rows.append((f"{load.share:.0%}", f"{load.rate_hz:.2f}", str(len(load.spoken)), *pairs))
    return table(head, rows)


def assumed_workload(run: Run) -> dict[str, Any]:
    """What was asked, as the section `workload` of a plan's assumptions."""
    spoken = [each for load in (run.full, *run.loads) for each in load.spoken]
    return {
        "lengths": [each.num_chars for each in spoken],
        "chars_per_s": round(sum(each.num_chars for each in spoken) / sum(each.audio_s for each in spoken), 2),
        "sentence_chars": max(ceil(each.num_chars / each.num_sentences) for each in spoken),
        "streamed_share": sum(each.is_streamed for each in spoken) / len(spoken),
        "cold_voice_share": sum(each.is_cold for each in spoken) / len(spoken),
    }
