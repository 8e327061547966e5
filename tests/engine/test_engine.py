"""The engine's life: refusals, aborts, failures, the end. Every sequence ends exactly once."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
import torch
from prometheus_client import CollectorRegistry

from serve_app.engine.config import EngineConfig
from serve_app.engine.engine import Engine
from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.sequence import STREAMING_CHUNKS, WHOLE, FinishReason, Prompt, SamplingParams, Sequence
from serve_app.engine.step_codes import PendingCodes
from serve_app.errors import EngineFailed, Overloaded, ServiceError, SynthesisFailed, Unavailable
from serve_app.metrics import Metrics, PrometheusExporter
from serve_app.model.checkpoint import Checkpoint
from serve_app.voices.voice import VoiceLatents
from tests.engine.reference import load
from tests.engine.support import make_runner, make_tokens, make_voice, run, running, speak, speak_alone

HUGE = 3e38  # finite as a voice must be, and no longer after the first norm


class SteppedRunner(ModelRunner):
    """Holds every step until it is let go, and remembers who was in it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.entered, self.permits = threading.Semaphore(0), threading.Semaphore(0)
        self.is_free = False
        self.steps: list[set[int]] = []

    def decode(self, sequences: tuple[Sequence, ...]) -> PendingCodes:
        self.steps.append({sequence.sequence_id for sequence in sequences})
        self.entered.release()
        if not self.is_free:
            assert self.permits.acquire(timeout=30.0)
        return super().decode(sequences)

    async def until_in_step(self) -> None:
        assert await asyncio.to_thread(self.entered.acquire, timeout=10.0)

    def let_go(self) -> None:
        self.is_free = True
        self.permits.release()


class FailingRunner(ModelRunner):
    """Dies in its tenth step."""

    num_left = 10

    def decode(self, sequences: tuple[Sequence, ...]) -> PendingCodes:
        self.num_left -= 1
        if not self.num_left:
            raise RuntimeError("out of memory, as a device may say")
        return super().decode(sequences)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load("synthetic:tiny")[0]


def _prompt(
    checkpoint: Checkpoint, seed: int = 1, num_codes: int = 20, chunks: tuple[int, ...] = STREAMING_CHUNKS
) -> Prompt:
    sampling = SamplingParams(seed=seed, num_forced_codes=num_codes)
    return Prompt(make_tokens(12, seed), make_voice(checkpoint, seed), sampling, chunk_codes=chunks)


async def _gone(engine: Engine, timeout_s: float = 10.0) -> None:
    """Waits until nobody is alive."""
    deadline_s = time.monotonic() + timeout_s
    while engine.num_alive:
        assert time.monotonic() < deadline_s, f"{engine.num_alive} sequences are still alive"
        await asyncio.sleep(0.002)


async def _outcomes(*waiting: Any) -> list[Any]:
    return list(await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30.0))


def test_sequence_ends_once_with_all_it_owes(checkpoint: Checkpoint) -> None:
    with running(checkpoint) as engine:
        spoken = run(speak(engine, _prompt(checkpoint, num_codes=40)))
    stats = engine.stats
    assert spoken.finish_reason is FinishReason.LENGTH
    assert len(spoken.codes) == 40
    assert spoken.num_chunks > 2
    assert (stats.num_prefills, stats.num_codes, stats.num_samples) == (1, 40, len(spoken.samples))
    assert stats.num_decode_rows == 39
    assert min(stats.prefill_s, stats.decode_s, stats.render_s) > 0.0


def test_overload_is_refused_at_once(checkpoint: Checkpoint) -> None:
    config = EngineConfig(max_slots=2, max_waiting=3)
    runner = make_runner(checkpoint, config, kind=SteppedRunner)
    assert isinstance(runner, SteppedRunner)

    async def fill(engine: Engine) -> None:
        everyone = [asyncio.create_task(speak(engine, _prompt(checkpoint, seed))) for seed in range(5)]
        await runner.until_in_step()
        started_s = time.monotonic()
        with pytest.raises(Overloaded) as refused:
            await speak(engine, _prompt(checkpoint, 9))
        assert time.monotonic() - started_s < 0.5  # though the step stands still
        assert refused.value.retry_after_s is not None
        assert engine.num_alive == 5
        everyone.append(asyncio.create_task(speak(engine, replace(_prompt(checkpoint, 6), is_continuation=True))))
        runner.let_go()
        assert [len(spoken.codes) for spoken in await asyncio.gather(*everyone)] == [20] * 6
        assert len((await speak(engine, _prompt(checkpoint, 9))).codes) == 20

    with running(checkpoint, config, runner=runner) as engine:
        run(fill(engine))


def test_abort_frees_the_slot_within_one_step(checkpoint: Checkpoint) -> None:
    """One slot: the next in the queue runs as soon as the listener has left."""
    config = EngineConfig(max_slots=1)
    runner = make_runner(checkpoint, config, kind=SteppedRunner)
    assert isinstance(runner, SteppedRunner)

    async def leave(engine: Engine) -> None:
        leaver = asyncio.create_task(speak(engine, _prompt(checkpoint, 1, 500)))
        await runner.until_in_step()
        follower = asyncio.create_task(speak(engine, _prompt(checkpoint, 2)))
        await asyncio.sleep(0.02)
        leaver.cancel()
        await asyncio.gather(leaver, return_exceptions=True)
        num_steps = len(runner.steps)
        assert engine.num_alive == 2  # still in its step
        runner.let_go()
        await runner.until_in_step()
        assert runner.steps[num_steps:][0] == {2}
        assert len((await follower).codes) == 20
        assert all(1 not in step for step in runner.steps[num_steps:])
        assert engine.num_alive == 0

    with running(checkpoint, config, runner=runner) as engine:
        run(leave(engine))
        assert engine._scheduler.num_free_slots == 1


def test_abort_in_the_queue_never_runs(checkpoint: Checkpoint) -> None:
    config = EngineConfig(max_slots=1)
    runner = make_runner(checkpoint, config, kind=SteppedRunner)
    assert isinstance(runner, SteppedRunner)

    async def leave(engine: Engine) -> None:
        first = asyncio.create_task(speak(engine, _prompt(checkpoint, 1)))
        await runner.until_in_step()
        waiting = asyncio.create_task(speak(engine, _prompt(checkpoint, 2)))
        await asyncio.sleep(0.02)
        waiting.cancel()
        runner.let_go()
        await asyncio.gather(first, waiting, return_exceptions=True)
        await _gone(engine)
        assert set.union(*runner.steps) == {1}
        assert engine.stats.num_prefills == 1

    with running(checkpoint, config, runner=runner) as engine:
        run(leave(engine))


def test_dead_loop_tells_every_waiter(checkpoint: Checkpoint) -> None:
    config = EngineConfig(max_slots=2)
    runner = make_runner(checkpoint, config, kind=FailingRunner)

    async def wait(engine: Engine) -> None:
        outcomes = await _outcomes(*(speak(engine, _prompt(checkpoint, seed)) for seed in range(6)))
        assert [type(outcome) for outcome in outcomes] == [EngineFailed] * 6
        assert "out of memory" in str(outcomes[0])
        with pytest.raises(EngineFailed):
            engine.check_health()
        started_s = time.monotonic()
        with pytest.raises(EngineFailed):
            await speak(engine, _prompt(checkpoint))
        assert time.monotonic() - started_s < 0.5
        assert engine.num_alive == 0

    with running(checkpoint, config, runner=runner) as engine:
        engine.check_health()
        run(wait(engine))


@pytest.mark.parametrize("part", ["cond_latents", "speaker_embedding"])
@pytest.mark.parametrize("is_deterministic", [False, True])
@pytest.mark.parametrize("is_fixed", [False, True], ids=["each", "fixed"])
def test_numbers_that_are_none_fail_their_sequence_alone(
    checkpoint: Checkpoint, part: str, is_deterministic: bool, is_fixed: bool
) -> None:
    config = EngineConfig(max_slots=4, is_deterministic=is_deterministic)
    good = [_prompt(checkpoint, seed, 30, WHOLE) for seed in range(6)]
    voice = good[0].voice
    parts = {"cond_latents": voice.cond_latents, "speaker_embedding": voice.speaker_embedding}
    parts[part] = torch.full_like(parts[part], HUGE)
    bad = Prompt(good[0].text_tokens, VoiceLatents(**parts), good[0].sampling)

    async def together(engine: Engine) -> list[Any]:
        return await _outcomes(*(speak(engine, prompt) for prompt in (*good[:2], bad, *good[2:], bad, bad)))

    runner = make_runner(checkpoint, config, has_fixed_steps=is_fixed)
    with running(checkpoint, config, runner=runner) as engine:
        expected = speak_alone(engine, good)
        outcomes = run(together(engine))
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert [type(failure) for failure in failures] == [SynthesisFailed] * 3
        assert "not numbers" in str(failures[0])
        spoken = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
        assert [one.codes for one in spoken] == [one.codes for one in expected]
        engine.check_health()
        assert (engine.num_alive, engine._scheduler.num_free_slots) == (0, 4)
        assert [one.codes for one in speak_alone(engine, good)] == [one.codes for one in expected]  # in the same slots


def test_drain_ends_what_runs_and_takes_no_more(checkpoint: Checkpoint) -> None:
    async def drain(engine: Engine) -> None:
        everyone = [asyncio.create_task(speak(engine, _prompt(checkpoint, seed))) for seed in range(12)]
        await asyncio.sleep(0.02)
        draining = asyncio.create_task(engine.drain())
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as refused:
            await speak(engine, _prompt(checkpoint, 99))
        assert refused.value.retry_after_s is not None
        await draining
        assert engine.num_alive == 0
        assert [len(spoken.codes) for spoken in await asyncio.gather(*everyone)] == [20] * 12

    with running(checkpoint, EngineConfig(max_slots=3)) as engine:
        run(drain(engine))


def test_close_tells_those_who_wait(checkpoint: Checkpoint) -> None:
    async def close(engine: Engine) -> None:
        everyone = [asyncio.create_task(speak(engine, _prompt(checkpoint, seed, 500))) for seed in range(6)]
        await asyncio.sleep(0.05)
        await asyncio.to_thread(engine.close)
        assert [type(outcome) for outcome in await _outcomes(*everyone)] == [Unavailable] * 6
        with pytest.raises(Unavailable):
            await speak(engine, _prompt(checkpoint))
        with pytest.raises(ServiceError):
            engine.check_health()
        engine.close()  # once more does no harm

    with running(checkpoint, EngineConfig(max_slots=2)) as engine:
        run(close(engine))
        assert not engine._thread.is_alive()


def test_listener_whose_loop_is_gone_is_no_ones_trouble(checkpoint: Checkpoint) -> None:
    """A loop closed without care, in the middle of a stream: the engine goes on with the others."""
    with running(checkpoint, EngineConfig(max_slots=2)) as engine:
        loop = asyncio.new_event_loop()
        outputs: AsyncGenerator[Any] = engine.generate(_prompt(checkpoint, 1, 200, (4,)))
        loop.run_until_complete(anext(outputs))
        loop.close()
        assert len(run(speak(engine, _prompt(checkpoint, 2, 60))).codes) == 60
        run(_gone(engine))
        engine.check_health()
        del outputs


def test_step_that_stands_still_is_unhealthy(checkpoint: Checkpoint) -> None:
    config = EngineConfig(max_slots=1)
    runner = make_runner(checkpoint, config, kind=SteppedRunner)
    assert isinstance(runner, SteppedRunner)

    async def hang(engine: Engine) -> None:
        speaking = asyncio.create_task(speak(engine, _prompt(checkpoint)))
        await runner.until_in_step()
        await asyncio.sleep(0.1)
        engine.check_health(max_step_s=30.0)
        with pytest.raises(EngineFailed, match="one step"):
            engine.check_health(max_step_s=0.05)
        runner.let_go()
        await speaking
        engine.check_health(max_step_s=30.0)

    with running(checkpoint, config, runner=runner) as engine:
        run(hang(engine))


def test_first_request_after_a_long_rest_is_healthy(checkpoint: Checkpoint) -> None:
    """A loop that slept for want of work is not stuck, not even before it has woken."""

    async def rest(engine: Engine) -> None:
        for _ in range(20):
            engine._last_step_s = time.monotonic() - 3_600.0  # as after an hour without work
            job = engine._submit(_prompt(checkpoint, 1, 1))
            engine.check_health()
            engine._abort(job)
            await _gone(engine)

    with running(checkpoint) as engine:
        run(rest(engine))


@pytest.mark.slow
def test_thousand_visitors_leave_nothing_behind(checkpoint: Checkpoint) -> None:
    """Come and go at random: in the queue, in a step, between chunks, at the very end."""
    chance = random.Random(3)
    prompts = [_prompt(checkpoint, seed, chance.randint(1, 12), (2,)) for seed in range(20)]
    num_ended = num_left = num_refused = 0

    async def visit(engine: Engine) -> None:
        nonlocal num_ended, num_left, num_refused
        await asyncio.sleep(chance.uniform(0.0, 2.5))
        num_wanted = chance.choice((0, 0, 1, 2, 99))
        visiting = asyncio.ensure_future(_listen(engine, chance.choice(prompts), num_wanted))
        if num_wanted == 0:
            await asyncio.sleep(chance.uniform(0.0, 0.01))
            visiting.cancel()
        (outcome,) = await asyncio.gather(visiting, return_exceptions=True)
        num_refused += isinstance(outcome, Overloaded)
        num_ended += outcome is FinishReason.LENGTH
        num_left += outcome is None or isinstance(outcome, asyncio.CancelledError)

    async def everyone(engine: Engine) -> None:
        await asyncio.gather(*(visit(engine) for _ in range(1_000)))
        await _gone(engine)

    registry = CollectorRegistry()
    recorder = Metrics(PrometheusExporter(registry))
    with running(checkpoint, EngineConfig(max_slots=8, max_waiting=200), recorder=recorder) as engine:
        run(everyone(engine))
        engine.check_health()
        assert num_ended + num_left + num_refused == 1_000
        assert min(num_ended, num_left) > 50
        scheduler = engine._scheduler
        assert (scheduler.num_waiting, scheduler.num_running, scheduler.num_free_slots) == (0, 0, 8)
        assert (engine._jobs, len(engine._inbox), len(engine._aborts)) == ({}, 0, 0)
    assert registry.get_sample_value("xtts_codes_total") == engine.stats.num_codes
    assert (registry.get_sample_value("xtts_slots_used"), registry.get_sample_value("xtts_sentences_waiting")) == (0, 0)
    assert (registry.get_sample_value("xtts_sentences_total", {"outcome": "finished"}) or 0.0) >= num_ended


async def _listen(engine: Engine, prompt: Prompt, num_wanted: int) -> FinishReason | None:
    num_heard = 0
    async with aclosing(engine.generate(prompt)) as outputs:
        async for output in outputs:
            num_heard += 1
            if num_heard >= num_wanted or output.finish_reason is not None:
                return output.finish_reason
    return None
