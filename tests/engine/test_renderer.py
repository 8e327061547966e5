"""Streamed equals whole: samples do not depend on the schedule of their chunks."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from serve_app.engine.audio_stream import AudioStream, Window
from serve_app.engine.config import EngineConfig
from serve_app.engine.renderer import Renderer
from serve_app.engine.sequence import STREAMING_CHUNKS, WHOLE, Prompt, SamplingParams
from serve_app.engine.vocoder_pass import Rendering, VocoderPass
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.device import Compute
from serve_app.model.frames import FrameGrid
from serve_app.model.vocoder import Vocoder
from serve_app.settings import Settings
from serve_app.speech.engine_setup import engine_config
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
GPU = engine_config(Settings(), Compute(torch.device("cuda"), torch.bfloat16))
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
        for audio in renderer.render([stream for stream, _ in streams]):
            assert len(audio.samples) > 0
            parts[id(audio.stream)].append(audio.samples)
    return [torch.from_numpy(np.concatenate(parts[id(stream)])) for stream, _ in streams]


COARSE = EngineConfig(max_render_frames=512, window_widths=(16, 32, 64, 128, 256), max_window_batch=4)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("config", "is_fixed"),
    [
        pytest.param(EngineConfig(), False, id="usual"),
        pytest.param(EngineConfig(max_window_frames=64, max_render_frames=64), False, id="narrow"),
        pytest.param(EngineConfig(max_window_frames=71), False, id="odd"),
        pytest.param(COARSE, False, id="coarse"),
        pytest.param(COARSE, True, id="as on a GPU"),
    ],
)
def test_streams_side_by_side_have_the_samples_of_the_whole(
    checkpoint: Checkpoint, config: EngineConfig, is_fixed: bool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    if is_fixed:
        monkeypatch.setattr(Rendering, "is_over", property(lambda _: chance.random() < 0.5))
    vocoder = make_vocoder(checkpoint)
    renderer = Renderer(vocoder, config, CPU, has_fixed_passes=is_fixed)
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
        assert [audio.stream for audio in renderer.render([later, heard, fresh])] == [expected]
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


def _window(renderer: Renderer, seed: int, num_codes: int = 40) -> tuple[AudioStream, Window]:
    generator = torch.Generator().manual_seed(seed)
    stream = renderer.open(_asked(torch.randn(512, generator=generator), (0.5, 1.0, 2.0)[seed % 3], WHOLE))
    stream.complete(torch.randn(num_codes * (1 + seed % 3), 128, generator=generator))
    return stream, stream.next_window(64)


def test_fixed_pass_equals_the_one_that_comes(checkpoint: Checkpoint) -> None:
    """And leaves the one before it whole, though both are made in the same place."""
    renderer = Renderer(make_vocoder(checkpoint), COARSE, CPU)
    plain, fixed = (
        VocoderPass(make_vocoder(checkpoint), COARSE, CPU, has_fixed_passes=is_fixed) for is_fixed in (False, True)
    )
    windows = [_window(renderer, seed)[1] for seed in range(12)]
    assert {window.num_frames for window in windows} == {64}
    begun, expected = [], []
    for part in (windows[:3], windows[3:4], windows[4:8], windows[8:10], windows[10:]):
        begun.append(fixed.begin(tuple(part)))
        expected.append(plain.begin(tuple(part)).samples())
    for one, other in zip(begun, expected, strict=True):
        assert one.samples().std() > 0.01
        assert largest_difference(one.samples(), other) < 1e-5


def test_neighbour_that_is_not_a_number_stays_alone(checkpoint: Checkpoint) -> None:
    """Nor does what an earlier pass left behind come into a later one."""
    renderer = Renderer(make_vocoder(checkpoint), COARSE, CPU)
    fixed = VocoderPass(make_vocoder(checkpoint), COARSE, CPU, has_fixed_passes=True)
    windows = [_window(renderer, seed, 120)[1] for seed in range(4)]
    expected = fixed.begin(tuple(windows)).samples().copy()
    (ill, _), (short, later) = _window(renderer, 1, 120), _window(renderer, 0, 17)
    assert ill.latents is not None
    ill.latents.fill_(float("nan"))
    found = fixed.begin((windows[0], ill.next_window(64), *windows[2:])).samples().copy()
    assert np.isnan(found[1]).any()
    np.testing.assert_array_equal(found[[0, 2, 3]], expected[[0, 2, 3]])
    assert short.latents is not None and later.num_frames == 64
    assert np.isfinite(fixed.begin((windows[0], later)).samples()).all()


def test_coarse_widths_are_kept_wherever_there_is_room(checkpoint: Checkpoint) -> None:
    """A GPU has graphs for them alone: other widths are for speech of less than a second, or its very beginning."""
    vocoder = make_vocoder(checkpoint)
    chance, num_windows, odd = random.Random(4), 0, []
    for number in range(200):
        stream = Renderer(vocoder, GPU, CPU).open(_asked(torch.ones(512), 1.0, (STREAMING_CHUNKS, WHOLE)[number % 2]))
        num_codes = chance.randint(1, 200)
        for known in range(1, num_codes + 1):
            latents = torch.zeros(known, 8)
            if known == num_codes:
                stream.complete(latents)
            elif stream.is_chunk_due(known):
                stream.grow(latents)
            while stream.is_due:
                window = stream.next_window(GPU.max_window_frames)
                num_windows += 1
                if window.num_frames not in GPU.window_widths:
                    odd.append(window)
                stream.hand_over(window)
    assert num_windows > 600
    assert len(odd) < num_windows // 20
    assert all(window.start < 16 for window in odd)


@pytest.mark.parametrize("speed", [1.1, 1.5, 2.0])
def test_first_windows_of_fast_speech_are_wide_enough_for_a_graph(checkpoint: Checkpoint, speed: float) -> None:
    """What stands behind a window's context does no harm, so it goes into the next wider pass, beside others."""
    vocoder = make_vocoder(checkpoint)
    renderer = Renderer(vocoder, GPU, CPU)
    fixed, plain = (VocoderPass(vocoder, GPU, CPU, has_fixed_passes=is_fixed) for is_fixed in (True, False))
    _, wide = _window(renderer, 1, 100)
    stream = renderer.open(_asked(torch.ones(512), speed, STREAMING_CHUNKS))
    latents = torch.randn(8, 128, generator=torch.Generator().manual_seed(3))
    stream.grow(latents)
    window = stream.next_window(256)
    assert window.num_frames not in GPU.window_widths
    width = fixed.width_of(window)
    assert width == min(each for each in GPU.window_widths if each > window.num_frames)
    assert plain.width_of(window) == window.num_frames
    expected = plain.begin((window,)).samples()[0]
    kept = slice((window.first - window.start) * 256, (window.last - window.start) * 256)
    assert kept.stop > kept.start
    wide.stream.num_out = 100
    beside = wide.stream.next_window(width)
    assert fixed.width_of(beside) == width
    for others in ((), (beside,)):
        found = fixed.begin((*others, window)).samples()[-1]
        assert largest_difference(found[kept], expected[kept]) < 1e-5


def test_true_end_is_never_padded(checkpoint: Checkpoint) -> None:
    renderer = Renderer(make_vocoder(checkpoint), GPU, CPU)
    fixed = VocoderPass(make_vocoder(checkpoint), GPU, CPU, has_fixed_passes=True)
    stream = renderer.open(_asked(torch.ones(512), 1.0, WHOLE))
    stream.complete(torch.randn(2, 128))
    window = stream.next_window(256)
    assert window.last == window.stop and window.num_frames not in GPU.window_widths
    assert fixed.width_of(window) == window.num_frames
