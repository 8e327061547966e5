"""Our one pass against coqui-tts's two: the same codes, latents and samples on the same weights, in float32."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch

from serve_app.bench.coqui import build_coqui
from serve_app.engine.engine import Engine
from serve_app.engine.sampler import NEAR_TIE
from serve_app.engine.sequence import FinishReason, Prompt
from serve_app.errors import CeilingReached
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.tokenizer import Tokenizer
from serve_app.training.corpus import held_out_sentences
from tests.engine.reference import Reference, follow, generate, greedy, load, second_pass, waveform
from tests.engine.support import (
    PLACEHOLDER,
    START,
    STOP,
    TEXTS,
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

TOLERANCE = 1e-4
STOP_BIAS = 3.0  # the logits of the synthetic models spread by 2.5
Record = Callable[[str, object], None]


def _prompts(checkpoint: Checkpoint, num_codes: int | None, penalty: float = 5.0) -> list[Prompt]:
    tokenizer = Tokenizer(checkpoint.tokenizer_file, checkpoint.config.languages)
    return [
        greedy(tuple(tokenizer.encode(text, language)), make_voice(checkpoint, seed), num_codes, penalty)
        for seed, (language, text) in enumerate(TEXTS)
    ]


def test_token_ids_equal_coquis() -> None:
    checkpoint, coqui = load("synthetic:tiny")
    prompts = _prompts(checkpoint, 1)
    expected = [coqui.tokenizer.encode(text.strip().lower(), language.split("-")[0]) for language, text in TEXTS]
    assert [list(prompt.text_tokens) for prompt in prompts] == expected
    assert len({language for language, _ in TEXTS}) >= 8


@pytest.mark.parametrize(
    ("model", "num_codes", "penalty"),
    [
        ("synthetic:tiny", 60, 5.0),
        ("synthetic:tiny", 60, 1.0),
        ("synthetic:tiny", 60, 10.0),
        pytest.param("synthetic:full:2", 24, 5.0, marks=pytest.mark.slow),
    ],
)
def test_codes_and_latents_equal_coquis(model: str, num_codes: int, penalty: float, record_property: Record) -> None:
    checkpoint, coqui = load(model)
    prompts = _prompts(checkpoint, num_codes, penalty)
    references = [generate(coqui, prompt) for prompt in prompts]
    followed = follow(checkpoint, prompts, references)
    record_property("num_codes", followed.num_codes)
    record_property("num_near_ties_forced", followed.num_forced)
    assert followed.num_codes == len(TEXTS) * num_codes
    assert followed.num_forced <= followed.num_codes // 500
    differences = [
        largest_difference(latents, second_pass(coqui, prompt, reference.codes))
        for latents, prompt, reference in zip(followed.latents, prompts, references, strict=True)
    ]
    record_property("largest_difference_of_latents", max(differences))
    assert max(differences) < TOLERANCE


def test_trained_weights_speak_as_coquis(record_property: Record) -> None:
    """`mini` in each of its voices, to the stop that each comes to by itself: codes, latents and sound."""
    checkpoint, coqui = load("mini")
    tokenizer = Tokenizer(checkpoint.tokenizer_file, checkpoint.config.languages, checkpoint.pronunciations_file)
    voices = list(checkpoint.speakers.values())
    sentences = held_out_sentences()[: len(voices)]
    prompts = [
        greedy(tuple(tokenizer.encode(sentence, "en")), voice, None)
        for sentence, voice in zip(sentences, voices, strict=True)
    ]
    references = [generate(coqui, prompt) for prompt in prompts]
    stop = checkpoint.config.gpt.stop_audio_token
    assert [coqui.tokenizer.encode(sentence, "en") for sentence in sentences] == [
        list(prompt.text_tokens) for prompt in prompts
    ]
    assert len(voices) >= 6 and all(reference.codes[-1] == stop for reference in references)
    followed = follow(checkpoint, prompts, references)
    record_property("num_codes", followed.num_codes)
    record_property("num_near_ties_forced", followed.num_forced)
    assert followed.num_forced <= 2
    for latents, prompt, reference in zip(followed.latents, prompts, references, strict=True):
        expected = second_pass(coqui, prompt, reference.codes)
        assert largest_difference(latents, expected) < TOLERANCE * expected.abs().max()
    with running(checkpoint) as engine:
        spoken = speak_alone(engine, prompts[:1])[0]
    assert min(references[0].gaps) > NEAR_TIE and list(spoken.codes) == references[0].codes
    heard = waveform(coqui, second_pass(coqui, prompts[0], references[0].codes), voices[0], 1.0)
    assert largest_difference(torch.from_numpy(spoken.samples), heard) < TOLERANCE


def test_repetition_penalty_matters_here() -> None:
    """Else the comparison above would say nothing of it."""
    checkpoint, coqui = load("synthetic:tiny")
    codes = [
        [generate(coqui, prompt).codes for prompt in _prompts(checkpoint, 60, penalty)[:4]] for penalty in (1.0, 5.0)
    ]
    assert all(one != other for one, other in zip(*codes, strict=True))


def test_codes_that_the_prefix_is_made_of_are_penalized_from_the_start() -> None:
    """The reference counts its placeholders and the start code as seen: both would be chosen here otherwise."""
    checkpoint = changed(load("synthetic:tiny")[0], biases={PLACEHOLDER: 9.0, START: 9.0})
    coqui = build_coqui(checkpoint)
    prompts = _prompts(checkpoint, 12)[:6]
    follow(checkpoint, prompts, [generate(coqui, prompt) for prompt in prompts])
    unpenalized = [generate(coqui, prompt).codes for prompt in _prompts(checkpoint, 12, 1.0)[:6]]
    assert {code for codes in unpenalized for code in codes} >= {PLACEHOLDER, START}


def test_long_text_and_all_codes_equal_coquis() -> None:
    """The last positions there are: 401 text tokens and 602 codes."""
    checkpoint, coqui = load("synthetic:tiny")
    gpt = checkpoint.config.gpt
    prompt = greedy(make_tokens(gpt.max_sentence_tokens, 1), make_voice(checkpoint, 1), gpt.max_codes)
    reference = generate(coqui, prompt)
    followed = follow(checkpoint, [prompt], [reference])
    assert followed.num_codes == 602
    assert largest_difference(followed.latents[0], second_pass(coqui, prompt, reference.codes)) < TOLERANCE


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("model", ["synthetic:tiny", "synthetic:full:2"])
def test_waveform_equals_coquis(model: str, speed: float, record_property: Record) -> None:
    checkpoint, coqui = load(model)
    num_codes = 75 if model == "synthetic:tiny" else 12
    prompt = replace(greedy(make_tokens(30, 3), make_voice(checkpoint, 3), num_codes), speed=speed)
    reference = generate(coqui, prompt)
    assert min(reference.gaps) > NEAR_TIE  # else the codes may differ: take another seed
    with running(checkpoint) as engine:
        spoken = speak_alone(engine, [prompt])[0]
    assert list(spoken.codes) == reference.codes
    expected = waveform(coqui, second_pass(coqui, prompt, reference.codes), prompt.voice, speed)
    assert expected.std() > 0.05
    difference = largest_difference(torch.from_numpy(spoken.samples), expected)
    record_property("largest_difference", difference)
    assert difference < TOLERANCE


@dataclass(frozen=True)
class Stopping:
    """A model that says stop by itself, sooner or later, and where coqui's says it."""

    checkpoint: Checkpoint
    prompts: list[Prompt]
    references: list[Reference]


@pytest.fixture(scope="module")
def stopping() -> Stopping:
    checkpoint = changed(load("synthetic:tiny")[0], biases={STOP: STOP_BIAS})
    prompts = _prompts(checkpoint, None)
    coqui = build_coqui(checkpoint)
    return Stopping(checkpoint, prompts, [generate(coqui, prompt) for prompt in prompts])


def test_stop_comes_where_coquis_does(stopping: Stopping, record_property: Record) -> None:
    stop = stopping.checkpoint.config.gpt.stop_audio_token
    assert all(reference.codes[-1] == stop for reference in stopping.references)
    assert len({len(reference.codes) for reference in stopping.references}) >= 12  # at many different places
    followed = follow(stopping.checkpoint, stopping.prompts, stopping.references)
    record_property("num_near_ties_forced", followed.num_forced)
    assert followed.num_codes == sum(len(reference.codes) for reference in stopping.references)
    assert followed.num_forced <= 2


def test_latents_equal_coquis_up_to_the_stop_code(stopping: Stopping) -> None:
    """The latent that predicts stop is vocoded too: as many latents as codes."""
    coqui = build_coqui(stopping.checkpoint)
    followed = follow(stopping.checkpoint, stopping.prompts, stopping.references)
    for prompt, reference, latents in zip(stopping.prompts, stopping.references, followed.latents, strict=True):
        expected = second_pass(coqui, prompt, reference.codes)
        assert largest_difference(latents, expected) < TOLERANCE


@pytest.mark.slow
def test_engine_ends_with_the_stop_code(stopping: Stopping) -> None:
    coqui = build_coqui(stopping.checkpoint)
    with running(stopping.checkpoint) as engine:
        everyone = run(_all(engine, stopping.prompts))
    for prompt, spoken, reference in zip(stopping.prompts, everyone, stopping.references, strict=True):
        assert min(reference.gaps) > NEAR_TIE  # else the codes may differ
        assert list(spoken.codes) == reference.codes
        assert spoken.finish_reason is FinishReason.STOP
        expected = waveform(coqui, second_pass(coqui, prompt, reference.codes), prompt.voice, 1.0)
        assert largest_difference(torch.from_numpy(spoken.samples), expected) < TOLERANCE


def test_ceiling_is_where_coquis_is(stopping: Stopping) -> None:
    """One code less than the sentence needs: coqui's ends there without a stop, ours says so instead of cutting."""
    index = next(index for index, reference in enumerate(stopping.references) if 15 < len(reference.codes) < 60)
    prompt, codes = stopping.prompts[index], stopping.references[index].codes
    exact, short = (changed(stopping.checkpoint, max_codes=len(codes) - missing) for missing in (0, 1))
    assert generate(build_coqui(exact), prompt).codes == codes
    assert generate(build_coqui(short), prompt).codes == codes[:-1]
    with running(exact) as engine:
        assert list(speak_alone(engine, [prompt])[0].codes) == codes
    with running(short) as engine:
        with pytest.raises(CeilingReached, match=str(len(codes) - 1)):
            speak_alone(engine, [prompt])
        assert engine.num_alive == 0


def test_published_ceiling_is_602_codes() -> None:
    checkpoint = load("synthetic:tiny")[0]
    assert checkpoint.config.gpt.max_codes == 602
    with running(checkpoint) as engine, pytest.raises(CeilingReached, match="602"):
        speak_alone(engine, [greedy(make_tokens(9, 1), make_voice(checkpoint, 1), None)])
    assert engine.stats.num_codes == 602


async def _all(engine: Engine, prompts: list[Prompt]) -> list[Spoken]:
    return await asyncio.gather(*(speak(engine, prompt) for prompt in prompts))
