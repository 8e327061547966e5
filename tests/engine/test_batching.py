"""Batched equals alone: what a sequence says does not depend on who shares its steps."""

import asyncio
import random
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import pytest
from torch import Tensor

from serve_app.audio.pcm import Samples
from serve_app.engine import slots
from serve_app.engine.config import EngineConfig
from serve_app.engine.engine import Engine
from serve_app.engine.sampler import SamplingRows, sample
from serve_app.engine.sequence import STREAMING_CHUNKS, WHOLE, Prompt, SamplingParams
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.device import Compute
from tests.engine.reference import load
from tests.engine.support import (
    BFLOAT16,
    FLOAT32,
    INT8,
    STOP,
    Spoken,
    changed,
    largest_difference,
    make_tokens,
    make_voice,
    run,
    running,
    speak,
    speak_alone,
)

NUM_SEQUENCES, NUM_SLOTS = 32, 8
Record = Callable[[str, object], None]


@dataclass(frozen=True)
class Visit:
    """One sequence's part in the crowd."""

    prompt: Prompt
    delay_s: float
    num_chunks_heard: int | None  # then the listener leaves; None: stays to the end


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """Stops by itself, sooner or later, where no length is forced."""
    return changed(load("synthetic:tiny")[0], biases={STOP: 3.5})


@pytest.fixture(scope="module")
def visits(checkpoint: Checkpoint) -> list[Visit]:
    """Texts, voices, seeds, lengths, speeds, schedules and arrivals of every kind; a quarter leave early."""
    chance = random.Random(11)
    voices = [make_voice(checkpoint, seed) for seed in range(5)]
    visits = []
    for number in range(NUM_SEQUENCES):
        sampling = SamplingParams(
            seed=1_000 + number,
            is_greedy=number % 3 == 0,
            num_forced_codes=chance.randint(1, 45) if number % 2 else None,
            temperature=chance.choice((0.6, 0.75, 1.0)),
            top_k=chance.choice((0, 20, 50)),
        )
        prompt = Prompt(
            make_tokens(chance.randint(2, 70), number),
            chance.choice(voices),
            sampling,
            chance.choice((0.5, 1.0, 1.0, 1.3, 2.0)),
            chance.choice((STREAMING_CHUNKS, WHOLE, (1,), (5, 9))),
        )
        leaves_after = chance.randint(0, 2) if number % 4 == 3 else None
        visits.append(Visit(prompt, chance.uniform(0.0, 0.4), leaves_after))
    return visits


async def _visit(engine: Engine, visit: Visit) -> Spoken | Samples:
    await asyncio.sleep(visit.delay_s)
    if visit.num_chunks_heard is None:
        return await speak(engine, visit.prompt)
    heard: list[Samples] = [np.zeros(0, np.float32)]
    async with aclosing(engine.generate(visit.prompt)) as outputs:
        if visit.num_chunks_heard == 0:
            waiting = asyncio.ensure_future(anext(outputs))
            await asyncio.sleep(0.02)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return heard[0]
        async for output in outputs:
            heard.append(output.samples)
            if len(heard) > visit.num_chunks_heard:
                break
    return np.concatenate(heard)


async def _crowd(engine: Engine, visits: list[Visit]) -> list[Spoken | Samples]:
    return await asyncio.gather(*(_visit(engine, visit) for visit in visits))


@pytest.fixture
def near_ties(monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, int]]:
    """(seed, position) of every near-tie of the runners of this test."""
    found: set[tuple[int, int]] = set()

    def noting(logits: Tensor, seen: Tensor, position: Tensor, rows: SamplingRows, stop: int) -> tuple[Tensor, Tensor]:
        codes, is_near = sample(logits, seen, position, rows, stop)
        found.update(zip(rows.seed[is_near].tolist(), position[is_near].tolist(), strict=True))
        return codes, is_near

    monkeypatch.setattr(slots, "sample", noting)
    return found


@dataclass(frozen=True)
class Comparison:
    """Those who stayed, alone and in the crowd; and the starts of those who left."""

    stayed: list[tuple[Visit, Spoken, Spoken]]
    largest_difference: float  # of samples, where the codes are the same
    num_bitwise: int  # sequences with the very same samples
    num_turned: int  # sequences whose codes differ

    @property
    def num_codes(self) -> int:
        return sum(len(alone.codes) for _, alone, _ in self.stayed)


def _compare(checkpoint: Checkpoint, visits: list[Visit], compute: Compute, *, is_deterministic: bool) -> Comparison:
    config = EngineConfig(max_slots=NUM_SLOTS, is_deterministic=is_deterministic)
    with running(checkpoint, config, compute) as engine:
        alone = speak_alone(engine, (visit.prompt for visit in visits))
        num_steps = engine.stats.num_steps
        crowd = run(_crowd(engine, visits))
        assert engine.stats.num_steps - num_steps < num_steps / 2  # they did share their steps
        run(engine.drain())
        assert engine.num_alive == 0
        assert engine._scheduler.num_free_slots == NUM_SLOTS
    stayed, differences, num_bitwise = [], [0.0], 0
    for visit, one, other in zip(visits, alone, crowd, strict=True):
        if not isinstance(other, Spoken):
            start = one.samples[: len(other)]
            assert compute is BFLOAT16 or largest_difference(start, other) < 1e-4
            continue
        stayed.append((visit, one, other))
        if one.codes == other.codes:
            assert one.finish_reason is other.finish_reason
            differences.append(largest_difference(one.samples, other.samples))
            num_bitwise += np.array_equal(one.samples, other.samples)
    num_turned = sum(one.codes != other.codes for _, one, other in stayed)
    return Comparison(stayed, max(differences), num_bitwise, num_turned)


def _note(record_property: Record, comparison: Comparison) -> None:
    record_property("num_sequences", len(comparison.stayed))
    record_property("num_codes", comparison.num_codes)
    record_property("num_turned", comparison.num_turned)
    record_property("num_bitwise_pcm", comparison.num_bitwise)
    record_property("largest_difference", comparison.largest_difference)


@pytest.mark.parametrize(
    "compute",
    [
        pytest.param(FLOAT32, id="float32"),
        pytest.param(INT8, id="int8", marks=pytest.mark.slow),
        pytest.param(BFLOAT16, id="bfloat16", marks=pytest.mark.slow),
    ],
)
def test_deterministic_mode_gives_the_bits_of_each_alone(
    checkpoint: Checkpoint, visits: list[Visit], compute: Compute, record_property: Record
) -> None:
    comparison = _compare(checkpoint, visits, compute, is_deterministic=True)
    _note(record_property, comparison)
    assert len(comparison.stayed) == 24
    assert comparison.num_turned == 0
    assert comparison.largest_difference == 0.0


@pytest.mark.parametrize(
    "compute", [pytest.param(FLOAT32, id="float32"), pytest.param(INT8, id="int8", marks=pytest.mark.slow)]
)
def test_codes_are_those_alone_up_to_near_ties(
    checkpoint: Checkpoint,
    visits: list[Visit],
    compute: Compute,
    near_ties: set[tuple[int, int]],
    record_property: Record,
) -> None:
    comparison = _compare(checkpoint, visits, compute, is_deterministic=False)
    _note(record_property, comparison)
    record_property("num_near_ties", len(near_ties))
    assert comparison.largest_difference < 1e-4
    assert comparison.num_turned <= 1
    for visit, one, other in comparison.stayed:
        pairs = zip(one.codes, other.codes, strict=False)
        turn = next((position for position, (a, b) in enumerate(pairs) if a != b), None)
        assert turn is None or (visit.prompt.sampling.seed, turn) in near_ties
