"""A device that works by itself, played on a CPU: steps are begun before the last one's codes are known, and windows
are over some time after they were begun. Everyone hears what they hear without.
"""

import asyncio
import random
from dataclasses import replace

import numpy as np
import pytest

from serve_app.engine.config import EngineConfig
from serve_app.engine.engine import Engine
from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.renderer import Renderer
from serve_app.engine.sequence import STREAMING_CHUNKS, WHOLE, FinishReason, Prompt, SamplingParams, Sequence
from serve_app.engine.step_codes import PendingCodes
from serve_app.engine.vocoder_pass import Rendering
from serve_app.errors import CeilingReached
from serve_app.model.checkpoint import Checkpoint
from tests.engine.reference import load
from tests.engine.support import (
    CPU,
    STOP,
    Spoken,
    changed,
    largest_difference,
    make_runner,
    make_tokens,
    make_vocoder,
    make_voice,
    run,
    running,
    speak,
    speak_alone,
)

NUM = 14
CONFIG = EngineConfig(max_slots=3, max_window_batch=4, max_render_frames=1_024)


class AheadRunner(ModelRunner):
    num_ahead = 1
    most_rows = 0  # decoded of a sequence beyond its codes

    def decode(self, sequences: tuple[Sequence, ...]) -> PendingCodes:
        self.most_rows = max(self.most_rows, *(sequence.num_ahead for sequence in sequences))
        return super().decode(sequences)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """Ends by itself after some dozens of codes."""
    return changed(load("synthetic:tiny")[0], biases={STOP: 5.0})


@pytest.fixture(scope="module")
def prompts(checkpoint: Checkpoint) -> list[Prompt]:
    return [_prompt(checkpoint, seed) for seed in range(NUM)]


@pytest.fixture(scope="module")
def alone(checkpoint: Checkpoint, prompts: list[Prompt]) -> list[Spoken]:
    with running(checkpoint, CONFIG) as engine:
        spoken = speak_alone(engine, prompts)
    reasons = {each.finish_reason for each in spoken}
    assert reasons == {FinishReason.STOP, FinishReason.LENGTH, FinishReason.CEILING}
    assert len({len(each.codes) for each in spoken}) > NUM // 2
    return spoken


def _prompt(checkpoint: Checkpoint, seed: int) -> Prompt:
    """Of every way to end: by itself, at a given length, at its ceiling."""
    forced, ceiling = (5 + 4 * seed, None) if seed % 3 == 0 else (None, (8 + seed, 300)[seed % 2])
    sampling = SamplingParams(seed=seed, num_forced_codes=forced)
    chunks = (STREAMING_CHUNKS, (3,), WHOLE)[seed % 3]
    return Prompt(
        make_tokens(4 + 5 * seed, seed), make_voice(checkpoint, seed), sampling, chunk_codes=chunks, max_codes=ceiling
    )


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of three windows are not over when they are asked for."""
    chance = random.Random(8)
    monkeypatch.setattr(Rendering, "is_over", property(lambda _: chance.random() < 0.33))


def _engine(checkpoint: Checkpoint, *, is_fixed: bool, config: EngineConfig = CONFIG) -> tuple[Engine, AheadRunner]:
    runner = make_runner(checkpoint, config, kind=AheadRunner, has_fixed_steps=is_fixed)
    assert isinstance(runner, AheadRunner)
    renderer = Renderer(make_vocoder(checkpoint), config, CPU, has_fixed_passes=is_fixed)
    return Engine(runner, renderer, checkpoint.config.gpt, config), runner


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("is_fixed", [False, True], ids=["each", "fixed"])
def test_everyone_hears_what_they_hear_alone(
    checkpoint: Checkpoint, prompts: list[Prompt], alone: list[Spoken], is_fixed: bool
) -> None:
    engine, runner = _engine(checkpoint, is_fixed=is_fixed)

    async def everyone() -> list[Spoken]:
        return await asyncio.gather(*(speak(engine, prompt) for prompt in prompts))

    try:
        spoken = run(everyone())
    finally:
        engine.close()
    for each, expected in zip(spoken, alone, strict=True):
        assert (each.codes, each.finish_reason) == (expected.codes, expected.finish_reason)
        assert largest_difference(each.samples, expected.samples) < 1e-4
    assert runner.most_rows == 1  # or nothing was ahead, and this test says nothing
    stats, num_codes = engine.stats, sum(len(each.codes) for each in alone)
    assert stats.num_codes == num_codes
    num_unforeseen = sum(each.finish_reason is FinishReason.STOP for each in alone)
    assert num_codes - NUM <= stats.num_decode_rows <= num_codes - NUM + num_unforeseen


@pytest.mark.usefixtures("late")
def test_the_models_own_ceiling_is_no_step_too_far(checkpoint: Checkpoint) -> None:
    short = changed(checkpoint, max_codes=20)
    sampling = SamplingParams(seed=1, is_greedy=True)
    prompt = replace(_prompt(checkpoint, 1), sampling=sampling, max_codes=None)
    engine, _ = _engine(changed(short, biases={STOP: -1e9}), is_fixed=True)
    try:
        with pytest.raises(CeilingReached):
            run(speak(engine, prompt))
        assert engine.stats.num_decode_rows == 19
    finally:
        engine.close()


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("is_fixed", [False, True], ids=["each", "fixed"])
def test_who_leaves_takes_nothing_from_who_stays(
    checkpoint: Checkpoint, prompts: list[Prompt], alone: list[Spoken], is_fixed: bool
) -> None:
    """Listeners go while their next code and their next window are on the way; others get their slots."""
    engine, _ = _engine(checkpoint, is_fixed=is_fixed)
    chance = random.Random(3)

    async def leave(prompt: Prompt) -> None:
        await asyncio.sleep(chance.uniform(0.0, 0.6))
        speaking = asyncio.ensure_future(speak(engine, replace(prompt, chunk_codes=(3,))))
        await asyncio.sleep(chance.uniform(0.0, 0.1))
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)

    async def everyone() -> list[Spoken]:
        leavers = [asyncio.ensure_future(leave(chance.choice(prompts))) for _ in range(60)]
        spoken = await asyncio.gather(*(speak(engine, prompt) for prompt in prompts))
        await asyncio.gather(*leavers)
        while engine.num_alive:  # noqa: ASYNC110  the engine has no event to wait for
            await asyncio.sleep(0.002)
        return spoken

    try:
        spoken = run(everyone())
        engine.check_health()
        assert engine._scheduler.num_free_slots == CONFIG.max_slots
    finally:
        engine.close()
    for each, expected in zip(spoken, alone, strict=True):
        assert each.codes == expected.codes
        assert largest_difference(each.samples, expected.samples) < 1e-4


def test_deterministic_mode_keeps_its_bits(checkpoint: Checkpoint, prompts: list[Prompt]) -> None:
    """Of samples too: fixed passes, with steps ahead or not."""
    config = replace(CONFIG, is_deterministic=True)
    outcomes = []
    for kind in (ModelRunner, AheadRunner):
        runner = make_runner(checkpoint, config, kind=kind, has_fixed_steps=True)
        renderer = Renderer(make_vocoder(checkpoint), config, CPU, has_fixed_passes=True)
        engine = Engine(runner, renderer, checkpoint.config.gpt, config)

        async def everyone(engine: Engine = engine) -> list[Spoken]:
            return await asyncio.gather(*(speak(engine, prompt) for prompt in prompts))

        try:
            outcomes.append(run(everyone()))
            outcomes.append(speak_alone(engine, prompts))
        finally:
            engine.close()
    for others in outcomes[1:]:
        for one, other in zip(outcomes[0], others, strict=True):
            assert one.codes == other.codes
            np.testing.assert_array_equal(one.samples, other.samples)
