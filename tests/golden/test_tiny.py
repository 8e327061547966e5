from dataclasses import replace

import numpy as np
import pytest

from serve_app.engine.config import EngineConfig
from serve_app.model.checkpoint import Checkpoint
from tests.engine.reference import Reference, follow
from tests.engine.support import largest_difference, running, speak_alone
from tests.golden.tiny import FILE, LATENTS, SAMPLES, SPOKEN, Arrays, prompt_of, sampled_prompt


@pytest.fixture(scope="module")
def golden() -> Arrays:
    with np.load(FILE) as file:
        return dict(file)


@pytest.mark.parametrize("number", range(len(SPOKEN)))
def test_codes_latents_and_samples_are_as_ever(tiny_checkpoint: Checkpoint, golden: Arrays, number: int) -> None:
    prompt = prompt_of(tiny_checkpoint, number)
    assert list(prompt.text_tokens) == golden[f"tokens_{number}"].tolist()
    codes = golden[f"codes_{number}"].tolist()
    followed = follow(tiny_checkpoint, [prompt], [Reference(codes, [1.0] * len(codes))])
    assert largest_difference(followed.latents[0][LATENTS].numpy(), golden[f"latents_{number}"]) < 1e-4
    with running(tiny_checkpoint) as engine:
        spoken = speak_alone(engine, [replace(prompt, speed=SPOKEN[number][2])])[0]
    assert list(spoken.codes) == codes
    assert largest_difference(spoken.samples[SAMPLES], golden[f"samples_{number}"]) < 1e-4


def test_seed_draws_the_codes_it_ever_did(tiny_checkpoint: Checkpoint, golden: Arrays) -> None:
    """What a user's seed gave last year it gives today."""
    with running(tiny_checkpoint, EngineConfig(max_slots=2)) as engine:
        spoken = speak_alone(engine, [sampled_prompt(tiny_checkpoint)])[0]
    assert list(spoken.codes) == golden["drawn"].tolist()


def test_file_is_small() -> None:
    assert FILE.stat().st_size < 200_000
