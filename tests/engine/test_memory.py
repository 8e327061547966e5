"""A device whose memory runs out: less at a time, the same audio, and a refusal that says so."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from prometheus_client import CollectorRegistry

from serve_app.engine import memory
from serve_app.engine.config import EngineConfig
from serve_app.engine.engine import Engine
from serve_app.engine.memory import PassSize, is_out_of_memory, tried_twice
from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.renderer import Renderer
from serve_app.engine.sequence import STREAMING_CHUNKS, Prompt, SamplingParams, Sequence
from serve_app.engine.step_codes import PendingCodes
from serve_app.errors import EngineFailed, OutOfMemory
from serve_app.metrics import Metrics, PrometheusExporter
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.vocoder import Vocoder
from serve_app.speech.loading import encode_voice
from tests.engine.reference import load
from tests.engine.support import (
    CPU,
    Spoken,
    make_runner,
    make_tokens,
    make_voice,
    run,
    running,
    speak,
    speak_alone,
)

CONFIG = EngineConfig(max_slots=8, max_window_batch=4, is_deterministic=True)
NONE = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


class SmallRunner(ModelRunner):
    """Has memory for `most` rows of a pass at a time; what it could not do leaves half-made traces."""

    most_prefill, most_decode = 100, 100
    asked: list[int]

    def prefill(self, sequences: tuple[Sequence, ...]) -> PendingCodes:
        if len(sequences) > self.most_prefill:
            raise NONE
        return super().prefill(sequences)

    def decode(self, sequences: tuple[Sequence, ...]) -> PendingCodes:
        self.asked = [*getattr(self, "asked", []), len(sequences)]
        if len(sequences) > self.most_decode:
            self._gpt.hidden(
                torch.zeros(len(sequences), self._gpt.config.width),
                self._cache.decode(
                    [sequence.slot or 0 for sequence in sequences],
                    [self._gpt.config.max_positions - 1] * len(sequences),
                ),
            )
            raise NONE
        return super().decode(sequences)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load("synthetic:tiny")[0]


@pytest.fixture(scope="module")
def prompts(checkpoint: Checkpoint) -> list[Prompt]:
    return [
        Prompt(
            make_tokens(12, seed),
            make_voice(checkpoint, seed),
            SamplingParams(seed=seed, num_forced_codes=20 + seed),
            chunk_codes=STREAMING_CHUNKS,
        )
        for seed in range(8)
    ]


@pytest.fixture(scope="module")
def alone(checkpoint: Checkpoint, prompts: list[Prompt]) -> list[Spoken]:
    with running(checkpoint, CONFIG) as engine:
        return speak_alone(engine, prompts)


def small_runner(checkpoint: Checkpoint) -> SmallRunner:
    runner = make_runner(checkpoint, CONFIG, kind=SmallRunner)
    assert isinstance(runner, SmallRunner)
    return runner


def together(engine: Engine, prompts: list[Prompt]) -> list[Any]:
    async def everyone() -> list[Any]:
        return list(await asyncio.gather(*(speak(engine, prompt) for prompt in prompts), return_exceptions=True))

    return run(everyone())


def assert_same(spoken: list[Any], alone: list[Spoken]) -> None:
    for each, expected in zip(spoken, alone, strict=True):
        assert each.codes == expected.codes
        np.testing.assert_array_equal(each.samples, expected.samples)


@pytest.mark.parametrize(("most_prefill", "most_decode"), [(1, 100), (100, 3), (2, 1)])
def test_fewer_rows_at_a_time_give_the_same_audio(
    checkpoint: Checkpoint, prompts: list[Prompt], alone: list[Spoken], most_prefill: int, most_decode: int
) -> None:
    registry = CollectorRegistry()
    runner = small_runner(checkpoint)
    runner.most_prefill, runner.most_decode = most_prefill, most_decode
    with running(checkpoint, CONFIG, runner=runner, recorder=Metrics(PrometheusExporter(registry))) as engine:
        assert_same(together(engine, prompts), alone)
        engine.check_health()
    assert engine.stats.num_codes == sum(len(spoken.codes) for spoken in alone)
    phase = "prefill" if most_prefill < most_decode else "decode"
    assert registry.get_sample_value("xtts_out_of_memory_total", {"phase": phase})
    assert registry.get_sample_value("xtts_guards_total", {"guard": "out_of_memory"}) is None


def test_passes_grow_again_when_memory_is_back(
    checkpoint: Checkpoint, prompts: list[Prompt], alone: list[Spoken], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "REGROW_S", 0.0)
    runner = small_runner(checkpoint)
    runner.most_decode = 2
    with running(checkpoint, CONFIG, runner=runner) as engine:
        assert_same(together(engine, prompts), alone)
        runner.most_decode, runner.asked = 100, []
        assert_same(together(engine, prompts), alone)
    assert max(runner.asked) == 8


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_without_any_memory_each_is_refused_after_its_second_try_and_the_engine_lives(
    checkpoint: Checkpoint, prompts: list[Prompt], alone: list[Spoken], phase: str
) -> None:
    registry = CollectorRegistry()
    runner = small_runner(checkpoint)
    setattr(runner, f"most_{phase}", 0)
    with running(checkpoint, CONFIG, runner=runner, recorder=Metrics(PrometheusExporter(registry))) as engine:
        refused = together(engine, prompts)
        assert {type(each) for each in refused} == {OutOfMemory}
        assert refused[0].status == 503 and refused[0].retry_after_s
        assert engine.num_alive == 0 and engine._scheduler.num_free_slots == CONFIG.max_slots
        setattr(runner, f"most_{phase}", 100)
        assert_same(together(engine, prompts), alone)
    assert registry.get_sample_value("xtts_guards_total", {"guard": "out_of_memory"}) == len(prompts)


def test_a_short_spell_without_memory_is_waited_for(
    checkpoint: Checkpoint, prompts: list[Prompt], alone: list[Spoken]
) -> None:
    """No row fits once in a while, and the next step has memory again: nobody is refused, however often."""

    class FlickeringRunner(SmallRunner):
        num_steps = 0

        def decode(self, sequences: tuple[Sequence, ...]) -> PendingCodes:
            self.num_steps += 1
            self.most_decode = (
                0 if self.num_steps in (12, 13, 14, 15) or self.num_steps % 20 == 0 else 100
            )  # 8, 4, 2 rows, and one
            return super().decode(sequences)

    runner = make_runner(checkpoint, CONFIG, kind=FlickeringRunner)
    with running(checkpoint, CONFIG, runner=runner) as engine:
        assert_same(together(engine, prompts), alone)


class SmallVocoder(Vocoder):
    """Has memory for so many frames in all, and for none where it is told so."""

    most_frames = 10_000
    asked: list[tuple[int, int]]

    def __call__(self, frames: torch.Tensor, speakers: torch.Tensor) -> torch.Tensor:
        self.asked = [*getattr(self, "asked", []), (frames.shape[0], frames.shape[2])]
        if frames.shape[0] * frames.shape[2] > self.most_frames:
            raise NONE
        return super().__call__(frames, speakers)


def vocoder_engine(checkpoint: Checkpoint, most_frames: int, config: EngineConfig) -> tuple[Engine, SmallVocoder]:
    shapes = checkpoint.config
    vocoder = SmallVocoder(shapes.vocoder, checkpoint.tensors, device=CPU, dtype=torch.float32)
    vocoder.most_frames = most_frames
    renderer = Renderer(vocoder, config, CPU)
    return Engine(make_runner(checkpoint, config), renderer, shapes.gpt, config), vocoder


@pytest.mark.parametrize("most_frames", [300, 80])
def test_vocoder_goes_on_with_fewer_and_shorter_windows(
    checkpoint: Checkpoint, prompts: list[Prompt], alone: list[Spoken], most_frames: int
) -> None:
    config = EngineConfig(max_slots=8, max_render_frames=2_048, max_window_batch=8)
    engine, vocoder = vocoder_engine(checkpoint, most_frames, config)
    try:
        spoken = together(engine, prompts)
    finally:
        engine.close()
    assert any(batch * width > most_frames for batch, width in vocoder.asked)  # it did meet the limit
    for each, expected in zip(spoken, alone, strict=True):
        assert each.samples.shape == expected.samples.shape
        assert np.abs(each.samples - expected.samples).max() < 1e-4


def test_vocoder_without_any_memory_refuses_and_lives(
    checkpoint: Checkpoint, prompts: list[Prompt], alone: list[Spoken]
) -> None:
    engine, vocoder = vocoder_engine(checkpoint, 0, CONFIG)
    try:
        assert {type(each) for each in together(engine, prompts)} == {OutOfMemory}
        assert engine.num_alive == 0
        vocoder.most_frames = 10_000
        assert_same(together(engine, prompts[:1]), alone[:1])
    finally:
        engine.close()


def _raising(*errors: Exception) -> Callable[[], str]:
    left = list(errors)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "made"

    return call


def test_what_cannot_be_made_smaller_is_tried_twice() -> None:
    assert tried_twice(_raising(NONE), "voice") == "made"
    with pytest.raises(OutOfMemory):
        tried_twice(_raising(NONE, NONE), "voice")
    with pytest.raises(ValueError, match="another"):
        tried_twice(_raising(ValueError("another")), "voice")


def test_torchs_ways_to_say_that_memory_is_out() -> None:
    with pytest.raises(RuntimeError) as met:
        torch.empty(1 << 55)
    assert is_out_of_memory(met.value)
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"))
    assert not is_out_of_memory(RuntimeError("device-side assert triggered"))


def test_pass_sizes_halve_and_stay_above_the_least() -> None:
    size = PassSize("render", 256, least=64)
    seen = []
    for _ in range(4):
        seen.append(size.limit)
        size.shrink(size.limit)
    assert seen == [256, 128, 64, 64]


def test_broken_device_met_while_a_voice_is_encoded_ends_the_engine(checkpoint: Checkpoint) -> None:
    class Broken:
        def encode(self, _: Any) -> Any:
            raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    with running(checkpoint, CONFIG) as engine:
        with pytest.raises(EngineFailed, match="device-side assert"):
            encode_voice(Broken(), engine, np.zeros(4, np.float32), Metrics())  # type: ignore[arg-type]
        with pytest.raises(EngineFailed):
            engine.check_health()
