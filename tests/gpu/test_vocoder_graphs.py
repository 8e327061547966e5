"""Windows replayed as CUDA graphs on a stream of their own, beside decode steps: the samples of the vocoder itself."""

import asyncio
import random

import pytest
import torch

from serve_app.engine.audio_stream import AudioStream
from serve_app.engine.config import EngineConfig
from serve_app.engine.cuda_graphs import CudaGraphs
from serve_app.engine.renderer import Renderer
from serve_app.engine.sequence import STREAMING_CHUNKS, WHOLE, Prompt, SamplingParams
from serve_app.engine.vocoder_pass import VocoderPass
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.device import Compute
from serve_app.settings import Settings
from serve_app.speech.engine_setup import build_engine, engine_config
from serve_app.voices.voice import VoiceLatents
from tests.engine.reference import load
from tests.engine.support import (
    Spoken,
    largest_difference,
    make_tokens,
    make_vocoder,
    make_voice,
    run,
    speak,
    speak_alone,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

GPU = torch.device("cuda")
FLOAT32, BFLOAT16 = Compute(GPU, torch.float32), Compute(GPU, torch.bfloat16)
CONFIG = engine_config(Settings(device="cuda", max_slots=16), BFLOAT16) if torch.cuda.is_available() else EngineConfig()


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load("synthetic:tiny")[0]


def _stream(renderer: Renderer, seed: int, num_codes: int) -> AudioStream:
    generator = torch.Generator().manual_seed(seed)
    voice = VoiceLatents(torch.zeros(32, 128), torch.randn(512, generator=generator))
    stream = renderer.open(Prompt((2,), voice, SamplingParams(), (0.5, 1.0, 2.0)[seed % 3], WHOLE))
    stream.complete(torch.randn(num_codes, 128, generator=generator).to(GPU))
    return stream


@pytest.mark.parametrize(("compute", "tolerance"), [(FLOAT32, 1e-4), (BFLOAT16, 0.02)], ids=str)
def test_replayed_window_equals_the_vocoders(checkpoint: Checkpoint, compute: Compute, tolerance: float) -> None:
    """Of every width and several batches, one pass right behind another."""
    vocoder, chance = make_vocoder(checkpoint, compute), random.Random(5)
    renderer = Renderer(vocoder, CONFIG, GPU)
    captured, plain = (VocoderPass(vocoder, CONFIG, GPU, has_fixed_passes=is_fixed) for is_fixed in (True, False))
    captured.warm_up()
    assert isinstance(captured._calls, CudaGraphs) and len(captured._calls) > 30
    begun = []
    for seed in range(60):
        width = chance.choice(CONFIG.widths)
        streams = [_stream(renderer, 100 * seed + row, 400) for row in range(chance.choice((1, 2, 3, 8, 16)))]
        for stream in streams:
            stream.num_out = 100
        windows = tuple(stream.next_window(width) for stream in streams)
        assert {window.num_frames for window in windows} == {width}
        begun.append((captured.begin(windows), plain.begin(windows)))
        if chance.random() < 0.3:
            begun[-1][0].settle()
    for one, other in begun:
        assert one.samples().std() > 0.01
        assert largest_difference(one.samples(), other.samples()) < tolerance


@pytest.mark.parametrize("compute", [FLOAT32], ids=str)
def test_crowd_hears_what_each_hears_alone(checkpoint: Checkpoint, compute: Compute) -> None:
    """Listeners come and go while steps and windows overlap; nobody hears another's voice."""
    chance = random.Random(2)
    prompts = [
        Prompt(
            make_tokens(5 + 3 * seed, seed),
            make_voice(checkpoint, seed),
            SamplingParams(seed=seed, num_forced_codes=20 + 6 * seed),
            chunk_codes=(STREAMING_CHUNKS, (4,), WHOLE)[seed % 3],
        )
        for seed in range(24)
    ]
    engine = build_engine(checkpoint, compute, CONFIG)

    async def leave() -> None:
        await asyncio.sleep(chance.uniform(0.0, 0.3))
        speaking = asyncio.ensure_future(speak(engine, chance.choice(prompts)))
        await asyncio.sleep(chance.uniform(0.0, 0.05))
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)

    async def everyone() -> list[Spoken]:
        leavers = [asyncio.ensure_future(leave()) for _ in range(100)]
        spoken = [await asyncio.gather(*(speak(engine, prompt) for prompt in prompts)) for _ in range(3)]
        await asyncio.gather(*leavers)
        return [each for turn in spoken for each in turn]

    try:
        alone = speak_alone(engine, prompts)
        for each, expected in zip(run(everyone()), 3 * alone, strict=True):
            assert each.codes == expected.codes
            assert largest_difference(each.samples, expected.samples) < 1e-3
        engine.check_health()
    finally:
        engine.close()
