"""Streamed equals whole: samples do not depend on the schedule of their chunks."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from serve_app.engine.config import EngineConfig
from serve_app.engine.audio_stream import AudioStream
from serve_app.engine.renderer import Renderer
from serve_app.engine.sequence import STREAMING_CHUNKS, WHOLE, Prompt, SamplingParams
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.device import Compute
from serve_app.model.frames import FrameGrid
from serve_app.model.vocoder import Vocoder
from serve_app.voices.voice import VoiceLatents
from tests.engine.reference import load
from tests.engine.support import (
    BFLOAT16,
    CPU,
    FLOAT32,
    largest_difference,
    make_tokens,
    make_vocoder,
    make_voice,
    run,
    running,
    speak,
    speak_alone,
)

SCHEDULES = [(1,), (7,), (20,), (3, 1, 9, 2, 30), STREAMING_CHUNKS]
SPEEDS = [0.5, 1.0, 2.0]
NUM_CODES = 90
Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load("synthetic:tiny")[0]


def _prompt(checkpoint: Checkpoint, speed: float, chunks: tuple[int, ...], num_codes: int = NUM_CODES) -> Prompt:
    sampling = SamplingParams(seed=4, num_forced_codes=num_codes)
    return Prompt(make_tokens(20, 1), make_voice(checkpoint, 1), sampling, speed, chunks)


@pytest.mark.parametrize(
    ("compute", "tolerance"),
    [
        pytest.param(FLOAT32, 1e-4, id="float32"),
        pytest.param(BFLOAT16, 0.02, id="bfloat16", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("speed", SPEEDS)
def test_streamed_equals_whole(
    checkpoint: Checkpoint, speed: float, compute: Compute, tolerance: float, record_property: Record
) -> None:
    prompts = [_prompt(checkpoint, speed, chunks) for chunks in (WHOLE, *SCHEDULES)]
    with running(checkpoint, compute=compute) as engine:
        whole, *streamed = speak_alone(engine, prompts)
    assert whole.samples.std() > 0.05
    assert abs(len(whole.samples) / 24_000 - NUM_CODES * 1_024 / 22_050 / speed) < 0.05
    assert all(spoken.codes == whole.codes for spoken in streamed)
    differences = [largest_difference(spoken.samples, whole.samples) for spoken in streamed]
    record_property("largest_difference", max(differences))
    assert max(differences) < tolerance
    num_chunks = [spoken.num_chunks for spoken in streamed]
    assert num_chunks[0] > num_chunks[1] > num_chunks[2] >= 4


class _Latents:
    """A sequence's latents, given to a stream in portions."""

    def __init__(self, vocoder: Vocoder, num_codes: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.all = torch.randn(num_codes, vocoder.config.input_width, generator=generator)
        self.speaker = torch.nn.functional.normalize(torch.randn(512, generator=generator), dim=0)

    @torch.inference_mode()
    def whole(self, vocoder: Vocoder, speed: float) -> Tensor:
        grid = FrameGrid(vocoder.config, speed)
        frames = grid.frames(self.all, 0, grid.num_frames(len(self.all)))
        return vocoder(frames.T[None], self.speaker[None])[0]


def _asked(speaker: Tensor, speed: float, chunks: tuple[int, ...]) -> Prompt:
    return Prompt((2,), VoiceLatents(torch.zeros(32, 128), speaker), SamplingParams(), speed, chunks)


def _stream_all(renderer: Renderer, streams: list[tuple[AudioStream, _Latents]], chance: random.Random) -> list[Tensor]:
    """Streams grow by turns, at random; each render call may leave some behind."""
    parts: dict[int, list[npt.NDArray[np.float32]]] = {id(stream): [] for stream, _ in streams}
    num_latents = {id(stream): 0 for stream, _ in streams}
    while not all(stream.is_drained for stream, _ in streams):
        for stream, latents in streams:
            if stream.is_complete or chance.random() < 0.4:
                continue
            known = num_latents[id(stream)] = min(num_latents[id(stream)] + chance.randint(1, 12), len(latents.all))
            if known == len(latents.all):
                stream.complete(latents.all.clone())
            elif stream.is_chunk_due(known):
                later = torch.full_like(latents.all, float("nan"))  # what is not there yet must not be read
                later[:known] = latents.all[:known]
                stream.grow(later[:known])
        for stream, samples in renderer.render([stream for stream, _ in streams]):
            assert len(samples) > 0
            parts[id(stream)].append(samples)
    return [torch.from_numpy(np.concatenate(parts[id(stream)])) for stream, _ in streams]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "config",
    [EngineConfig(), EngineConfig(max_window_frames=64, max_render_frames=64), EngineConfig(max_window_frames=71)],
    ids=["usual", "narrow", "odd"],
)
def test_streams_side_by_side_have_the_samples_of_the_whole(
    checkpoint: Checkpoint, config: EngineConfig, seed: int
) -> None:
    chance = random.Random(seed)
    vocoder = make_vocoder(checkpoint)
    renderer = Renderer(vocoder, config, CPU)
    streams, expected = [], []
    for number in range(5):
        speed = chance.choice((0.5, 0.77, 1.0, 1.4, 2.0))
        latents = _Latents(vocoder, chance.randint(1, 60), 10 * seed + number)
        schedule = chance.choice([WHOLE, *SCHEDULES])
        streams.append((renderer.open(_asked(latents.speaker, speed, schedule)), latents))
        expected.append(latents.whole(vocoder, speed))
    for heard, whole in zip(_stream_all(renderer, streams, chance), expected, strict=True):
        assert largest_difference(heard, whole) < 1e-5


def test_render_call_is_bounded(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is due, one step makes no more frames than the bound: nobody's stream stands still for others."""
    num_frames = 0
    vocode = Vocoder.__call__

    def counting(self: Vocoder, frames: Tensor, speaker: Tensor) -> Tensor:
        nonlocal num_frames
        num_frames += frames.shape[0] * frames.shape[2]
        return vocode(self, frames, speaker)

    monkeypatch.setattr(Vocoder, "__call__", counting)
    renderer = Renderer(make_vocoder(checkpoint), EngineConfig(max_window_frames=128, max_render_frames=192), CPU)
    streams = [renderer.open(_asked(torch.ones(512), 1.0, WHOLE)) for _ in range(6)]
    for stream in streams:
        stream.complete(torch.randn(80, 128))
    while not all(stream.is_drained for stream in streams):
        num_frames = 0
        assert renderer.render(streams)
        assert 0 < num_frames <= 192


def test_stream_whose_audio_is_wanted_first_goes_first(checkpoint: Checkpoint) -> None:
    """Not heard yet, and due before what another's listener has runs out; then the other; a later sentence last."""
    renderer = Renderer(make_vocoder(checkpoint), EngineConfig(max_window_frames=64, max_render_frames=64), CPU)
    later, heard, fresh = (renderer.open(_asked(torch.ones(512), 1.0, WHOLE), due_s) for due_s in (30.0, 1.0, 1.5))
    for stream in (later, heard, fresh):
        stream.complete(torch.randn(80, 128))
    heard.first_out_s, heard.num_out = 1.2, 94  # frames: one second
    for expected in (fresh, heard, fresh):
        assert [stream for stream, _ in renderer.render([later, heard, fresh])] == [expected]
        fresh.first_out_s = 2.0


@pytest.mark.parametrize("chunks", [WHOLE, (1,), STREAMING_CHUNKS])
@pytest.mark.parametrize("speed", [0.5, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("num_codes", [1, 2])
def test_shortest_speech_ends(checkpoint: Checkpoint, num_codes: int, speed: float, chunks: tuple[int, ...]) -> None:
    with running(checkpoint) as engine:
        spoken = run(speak(engine, _prompt(checkpoint, speed, chunks, num_codes)), timeout_s=10.0)
        assert engine.num_alive == 0
    assert len(spoken.samples) >= 4 * 256
    assert len(spoken.codes) == num_codes


def test_speed_changes_neither_codes_nor_level(checkpoint: Checkpoint) -> None:
    base = _prompt(checkpoint, 1.0, WHOLE)
    with running(checkpoint) as engine:
        slow, plain, fast = speak_alone(engine, [replace(base, speed=speed) for speed in SPEEDS])
    assert slow.codes == plain.codes == fast.codes
    assert len(slow.samples) / len(plain.samples) == pytest.approx(2.0, abs=0.02)
    assert len(plain.samples) / len(fast.samples) == pytest.approx(2.0, abs=0.02)
