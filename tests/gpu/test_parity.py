"""On the GPU as on the CPU: coqui's codes, latents and samples in float32, and in a crowd the audio of each alone."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from serve_app.engine.config import EngineConfig
from serve_app.engine.sequence import STREAMING_CHUNKS, Prompt, SamplingParams
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.device import Compute
from serve_app.model.tokenizer import Tokenizer
from tests.engine.reference import follow, generate, greedy, load, second_pass, waveform
from tests.engine.support import TEXTS, largest_difference, make_tokens, make_voice, run, running, speak, speak_alone

TOLERANCE = 5e-4  # of latents and samples in float32: sums of a thousand terms in another order
NEAR_TIE = 1e-3
FLOAT32 = Compute(torch.device("cuda"), torch.float32)
BFLOAT16 = Compute(torch.device("cuda"), torch.bfloat16)
Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def full(gpu: torch.device) -> Checkpoint:
    return load("synthetic:full", "cuda")[0]


@pytest.mark.parametrize(("model", "num_codes"), [("synthetic:tiny", 60), ("synthetic:full", 40)])
def test_codes_and_latents_equal_coquis(model: str, num_codes: int, record_property: Record) -> None:
    checkpoint, coqui = load(model, "cuda")
    tokenizer = Tokenizer(checkpoint.tokenizer_file, checkpoint.config.languages)
    prompts = [
        greedy(tuple(tokenizer.encode(text, language)), make_voice(checkpoint, seed), num_codes)
        for seed, (language, text) in enumerate(TEXTS)
        if language not in ("ja", "zh-cn")
    ]
    references = [generate(coqui, prompt) for prompt in prompts]
    followed = follow(checkpoint, prompts, references, FLOAT32, NEAR_TIE)
    record_property("num_codes", followed.num_codes)
    record_property("num_near_ties_forced", followed.num_forced)
    assert followed.num_codes == len(prompts) * num_codes
    assert followed.num_forced <= followed.num_codes // 200
    differences = [
        largest_difference(latents.cpu(), second_pass(coqui, prompt, reference.codes).cpu())
        for latents, prompt, reference in zip(followed.latents, prompts, references, strict=True)
    ]
    record_property("largest_difference_of_latents", max(differences))
    assert max(differences) < TOLERANCE


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.3])
def test_waveform_equals_coquis(full: Checkpoint, speed: float, record_property: Record) -> None:
    coqui = load("synthetic:full", "cuda")[1]
    prompt = replace(greedy(make_tokens(30, 3), make_voice(full, 3), 40), speed=speed)
    with running(full, compute=FLOAT32) as engine:
        spoken = speak_alone(engine, [prompt])[0]
    expected = waveform(coqui, second_pass(coqui, prompt, list(spoken.codes)), prompt.voice, speed).cpu()
    assert expected.std() > 0.05
    difference = largest_difference(torch.from_numpy(spoken.samples), expected)
    record_property("largest_difference", difference)
    assert difference < TOLERANCE


@pytest.mark.parametrize("compute", [FLOAT32, BFLOAT16], ids=str)
def test_the_same_seed_gives_the_same_bits(full: Checkpoint, compute: Compute) -> None:
    prompts = _sampled(full, 6)
    with running(full, EngineConfig(max_slots=16, is_deterministic=True), compute) as engine:
        for once, again in zip(speak_alone(engine, prompts), speak_alone(engine, prompts), strict=True):
            assert once.codes == again.codes
            np.testing.assert_array_equal(once.samples, again.samples)


@pytest.mark.parametrize("compute", [FLOAT32, BFLOAT16], ids=str)
def test_in_a_crowd_each_gets_the_bits_it_gets_alone(full: Checkpoint, compute: Compute) -> None:
    prompts = _sampled(full, 12)
    with running(full, EngineConfig(max_slots=16, is_deterministic=True), compute) as engine:
        alone = speak_alone(engine, prompts)

        async def everyone() -> None:
            for spoken, expected in zip(
                await asyncio.gather(*(speak(engine, prompt) for prompt in prompts)), alone, strict=True
            ):
                assert spoken.codes == expected.codes
                np.testing.assert_array_equal(spoken.samples, expected.samples)

        run(everyone())


def test_bfloat16_sounds_like_float32(full: Checkpoint, record_property: Record) -> None:
    """Over the same latents: the vocoder alone. What codes a GPT in 16 bit chooses is a matter of chance."""
    prompt = greedy(make_tokens(30, 3), make_voice(full, 3), 60)
    spoken = {}
    for compute in (FLOAT32, BFLOAT16):
        with running(full, compute=compute) as engine:
            spoken[compute] = speak_alone(engine, [prompt])[0]
    same = [one == other for one, other in zip(spoken[FLOAT32].codes, spoken[BFLOAT16].codes, strict=True)]
    num_same = same.index(False) if False in same else len(same)
    record_property("codes_until_16_bit_chose_another", num_same)
    assert num_same > 0
    assert np.isfinite(spoken[BFLOAT16].samples).all()
    assert len(spoken[BFLOAT16].samples) == len(spoken[FLOAT32].samples)


def _sampled(checkpoint: Checkpoint, num: int) -> list[Prompt]:
    return [
        Prompt(
            make_tokens(8 + 3 * seed, seed),
            make_voice(checkpoint, seed),
            SamplingParams(seed=seed, num_forced_codes=20 + 5 * seed),
            chunk_codes=STREAMING_CHUNKS,
        )
        for seed in range(num)
    ]
