"""Requests that come at random whatever became of those before, to an engine in this process: first audio, stalls."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from serve_app.engine.engine import Engine
from serve_app.engine.sequence import STREAMING_CHUNKS, Prompt, SamplingParams
from serve_app.errors import Overloaded
from serve_app.model.config import CODE_RATE_HZ, SAMPLE_RATE_HZ
from serve_app.voices.voice import VoiceLatents

CHARS = (10, 200)  # of a text, as many short ones as long ones
CHARS_PER_S = 15.0  # of speech
CHARS_PER_TOKEN = 3.0
FIRST_TOKEN, LAST_TOKEN = 2, 200  # which ones does not matter to the time they take


@dataclass
class Heard:
    """One request."""

    ttfa_s: float = 0.0  # from when it was sent
    audio_s: float = 0.0
    stalled_s: float = 0.0  # for so long its listener had nothing to hear after the first audio
    is_refused: bool = False


@dataclass(frozen=True)
class Run:
    """All requests of one rate."""

    rate_hz: float
    wall_s: float
    heard: list[Heard]

    def line(self) -> str:
        answered = [each for each in self.heard if not each.is_refused]
        ttfa_ms = [1e3 * each.ttfa_s for each in answered] or [float("nan")]
        p50, p95, p99 = np.percentile(ttfa_ms, (50, 95, 99))
        stalled = [each.stalled_s for each in answered if each.stalled_s > 0.0]
        audio_s = sum(each.audio_s for each in answered)
        num_refused = len(self.heard) - len(answered)
        return (
            f"| {self.rate_hz:g} | {len(self.heard)} | {num_refused} | {p50:.0f} | {p95:.0f} | {p99:.0f} "
            f"| {len(stalled)} | {1e3 * max(stalled, default=0.0):.0f} | {audio_s / self.wall_s:.0f} |"
        )


HEADER = (
    "| requests/s | sent | refused | first audio p50, ms | p95 | p99 | stalled | longest, ms | audio s/s |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)


def open_loop_table(engine: Engine, voice: VoiceLatents, rates_hz: list[float], duration_s: float) -> Iterator[str]:
    """Lines of Markdown, a row a rate, after a warm-up at the first of them."""
    asyncio.run(open_loop(engine, voice, rates_hz[0], min(duration_s, 3.0)))
    yield from HEADER
    for rate_hz in rates_hz:
        yield asyncio.run(open_loop(engine, voice, rate_hz, duration_s)).line()


async def open_loop(engine: Engine, voice: VoiceLatents, rate_hz: float, duration_s: float) -> Run:
    """Poisson arrivals for so many seconds; returns when the last one is over."""
    chance, start_s = random.Random(1), time.perf_counter()
    asked: list[asyncio.Future[Heard]] = []
    due_s = chance.expovariate(rate_hz)
    while due_s < duration_s:
        await asyncio.sleep(max(0.0, start_s + due_s - time.perf_counter()))
        asked.append(asyncio.ensure_future(_listen(engine, _prompt(voice, chance, len(asked)))))
        due_s += chance.expovariate(rate_hz)
    heard = list(await asyncio.gather(*asked))
    return Run(rate_hz, time.perf_counter() - start_s, heard)


def _prompt(voice: VoiceLatents, chance: random.Random, seed: int) -> Prompt:
    chars = chance.randint(*CHARS)
    tokens = tuple(chance.randint(FIRST_TOKEN, LAST_TOKEN) for _ in range(round(chars / CHARS_PER_TOKEN)))
    sampling = SamplingParams(seed=seed, num_forced_codes=round(chars / CHARS_PER_S * CODE_RATE_HZ))
    return Prompt(tokens, voice, sampling, chunk_codes=STREAMING_CHUNKS)


async def _listen(engine: Engine, prompt: Prompt) -> Heard:
    """As a player does that begins with the first audio."""
    heard, sent_s, runs_out_s = Heard(), time.perf_counter(), 0.0
    try:
        async for output in engine.generate(prompt):
            now_s, seconds = time.perf_counter(), len(output.samples) / SAMPLE_RATE_HZ
            if not heard.audio_s:
                heard.ttfa_s, runs_out_s = now_s - sent_s, now_s
            heard.stalled_s += max(0.0, now_s - runs_out_s)
            runs_out_s = max(runs_out_s, now_s) + seconds
            heard.audio_s += seconds
    except Overloaded:
        heard.is_refused = True
    return heard
