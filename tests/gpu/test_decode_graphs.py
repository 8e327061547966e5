"""Prefixes and decode steps replayed as CUDA graphs: the same bits as themselves, whatever else uses the GPU."""

import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from serve_app.engine.buckets import num_prefixes
from serve_app.engine.config import EngineConfig
from serve_app.engine.cuda_graphs import CudaGraphs
from serve_app.engine.memory import release_memory
from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.sequence import Prompt, SamplingParams, Sequence, Status
from serve_app.engine.step_codes import StepCodes
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.conditioning import REFERENCE_RATE_HZ, VoiceEncoder
from serve_app.model.device import Compute
from tests.engine.reference import follow, generate, greedy, load, second_pass
from tests.engine.support import largest_difference, make_runner, make_tokens, make_voice, running, speak_alone

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

GPU = torch.device("cuda")
FLOAT32, BFLOAT16 = Compute(GPU, torch.float32), Compute(GPU, torch.bfloat16)
CONFIG = EngineConfig(max_slots=6)
TOLERANCE = 1e-4


@pytest.fixture(scope="module", autouse=True)
def _memory_returns() -> Generator[None]:
    yield
    release_memory()


def _prompt(checkpoint: Checkpoint, seed: int) -> Prompt:
    sampling = SamplingParams(
        seed=seed, is_greedy=seed % 4 == 0, num_forced_codes=40, top_k=(50, 0, 1, 64)[seed % 4], top_p=0.9
    )
    return Prompt(make_tokens(10 + 9 * seed, seed), make_voice(checkpoint, seed), sampling)


def _captured(checkpoint: Checkpoint, compute: Compute, config: EngineConfig = CONFIG) -> ModelRunner:
    runner = make_runner(checkpoint, config, compute)
    runner.warm_up()
    return runner


def _graphs(runner: ModelRunner) -> CudaGraphs:
    assert runner._fixed is not None
    graphs = runner._fixed.decode_step.calls
    assert isinstance(graphs, CudaGraphs)
    return graphs


def _num_buckets(runner: ModelRunner, config: EngineConfig = CONFIG) -> int:
    assert runner._fixed is not None
    buckets = runner._fixed.buckets
    prefixes = sum(len(num_prefixes(config, length)) for length in buckets.prefixes)
    return prefixes + len(buckets.rows) * (len(buckets.positions) + len(buckets.candidates))


def _spoken(runner: ModelRunner, checkpoint: Checkpoint, num_steps: int = 90) -> tuple[list[StepCodes], list[Tensor]]:
    """Six sequences, of which one comes and one goes every fifteen steps, across several buckets."""
    results, latents = [], []
    alive = [Sequence(seed, _prompt(checkpoint, seed), status=Status.RUNNING, slot=seed) for seed in range(5)]
    results.append(runner.prefill(tuple(alive)).wait())
    newest = 5
    for step in range(num_steps):
        for sequence in alive:
            sequence.num_codes += 1
        if step % 15 == 14:
            gone = alive.pop(step % len(alive))
            latents.append(runner.latents(gone).clone())
            newcomer = Sequence(newest, _prompt(checkpoint, newest), status=Status.RUNNING, slot=gone.slot)
            newest += 1
            results.append(runner.prefill((newcomer,)).wait())
            newcomer.num_codes = 1
            alive.append(newcomer)
        results.append(runner.decode(tuple(alive)).wait())
    return results, [*latents, *(runner.latents(sequence).clone() for sequence in alive)]


@pytest.mark.parametrize("compute", [FLOAT32, BFLOAT16], ids=str)
@pytest.mark.parametrize("model", ["synthetic:tiny", "synthetic:full:2"])
def test_replay_equals_the_step_bit_for_bit(model: str, compute: Compute) -> None:
    checkpoint, _ = load(model)
    eager = make_runner(checkpoint, replace(CONFIG, uses_cuda_graphs=False), compute)
    results, latents = _spoken(_captured(checkpoint, compute), checkpoint)
    expected, expected_latents = _spoken(eager, checkpoint)
    assert results == expected
    assert all(all(result.is_finite) for result in results)
    for one, other in zip(latents, expected_latents, strict=True):
        assert torch.equal(one, other)


def test_every_bucket_is_captured() -> None:
    runner = _captured(load("synthetic:tiny")[0], FLOAT32)
    assert len(_graphs(runner)) == _num_buckets(runner)


def test_codes_and_latents_equal_the_cpus() -> None:
    checkpoint, _ = load("synthetic:tiny")
    results, latents = _spoken(_captured(checkpoint, FLOAT32), checkpoint)
    expected, expected_latents = _spoken(make_runner(checkpoint, CONFIG), checkpoint)
    assert [result.codes for result in results] == [result.codes for result in expected]
    for one, other in zip(latents, expected_latents, strict=True):
        assert largest_difference(one.cpu(), other) < TOLERANCE


@pytest.mark.parametrize(("model", "num_codes"), [("synthetic:tiny", 60), ("synthetic:full:2", 24)])
def test_codes_and_latents_equal_coquis(model: str, num_codes: int) -> None:
    checkpoint, coqui = load(model)
    prompts = [greedy(make_tokens(5 + 6 * n, n), make_voice(checkpoint, n), num_codes) for n in range(12)]
    references = [generate(coqui, prompt) for prompt in prompts]
    runner = _captured(checkpoint, FLOAT32, EngineConfig(max_slots=len(prompts)))
    followed = follow(checkpoint, prompts, references, FLOAT32, runner=runner)
    assert followed.num_codes == len(prompts) * num_codes
    assert followed.num_forced <= 1 + followed.num_codes // 500
    for latents, prompt, reference in zip(followed.latents, prompts, references, strict=True):
        assert largest_difference(latents.cpu(), second_pass(coqui, prompt, reference.codes)) < TOLERANCE


def test_company_does_not_change_a_bit_in_deterministic_mode() -> None:
    checkpoint, _ = load("synthetic:tiny")
    runner = _captured(checkpoint, BFLOAT16, replace(CONFIG, is_deterministic=True))
    assert len(_graphs(runner)) == _num_buckets(runner, replace(CONFIG, is_deterministic=True))
    outcomes = []
    for slot, company in ((0, ()), (5, (1, 4)), (2, (0, 1, 3, 4, 5))):
        sequences = [Sequence(n, _prompt(checkpoint, n + 1), status=Status.RUNNING, slot=n) for n in company]
        sequences.append(Sequence(9, _prompt(checkpoint, 3), status=Status.RUNNING, slot=slot))
        codes = [runner.prefill(tuple(sequences)).wait().codes[-1]]
        for _ in range(30):
            for sequence in sequences:
                sequence.num_codes += 1
            codes.append(runner.decode(tuple(sequences)).wait().codes[-1])
        outcomes.append((codes, runner.latents(sequences[-1]).clone()))
    for codes, latents in outcomes[1:]:
        assert codes == outcomes[0][0]
        assert torch.equal(latents, outcomes[0][1])


def test_no_step_allocates() -> None:
    checkpoint, _ = load("synthetic:tiny")
    runner = _captured(checkpoint, BFLOAT16)
    sequences = tuple(Sequence(n, _prompt(checkpoint, n), status=Status.RUNNING, slot=n) for n in range(6))
    runner.prefill(sequences).wait()

    def num_allocations() -> tuple[int, int]:
        return torch.cuda.memory_stats()["allocation.all.allocated"], torch.cuda.memory_allocated()

    before = num_allocations()
    for _ in range(40):
        for sequence in sequences:
            sequence.num_codes += 1
        runner.decode(sequences).wait()
    assert num_allocations() == before


def test_capture_beside_another_threads_work() -> None:
    """A voice is encoded over and over meanwhile, as a request's reference recording may be."""
    checkpoint, _ = load("synthetic:tiny")
    encoder, is_over = VoiceEncoder(checkpoint, GPU), threading.Event()
    samples = np.random.default_rng(1).standard_normal(6 * REFERENCE_RATE_HZ).astype(np.float32)
    expected, encoded = encoder.encode(samples), []

    def encode() -> None:
        while not is_over.is_set():
            encoded.append(encoder.encode(samples))

    with ThreadPoolExecutor(1) as pool:
        encoding = pool.submit(encode)
        try:
            runner = _captured(checkpoint, FLOAT32)
        finally:
            is_over.set()
        encoding.result()
    assert len(encoded) >= 1
    assert all(largest_difference(each.cond_latents, expected.cond_latents) < TOLERANCE for each in encoded)
    assert len(_graphs(runner)) == _num_buckets(runner)
    results, _ = _spoken(runner, checkpoint, 30)
    assert results == _spoken(_captured(checkpoint, FLOAT32), checkpoint, 30)[0]


def test_engine_speaks_the_same_with_graphs() -> None:
    checkpoint, _ = load("synthetic:tiny")
    prompts = [_prompt(checkpoint, seed) for seed in range(4)]
    with running(checkpoint, CONFIG, FLOAT32, runner=_captured(checkpoint, FLOAT32)) as engine:
        spoken = speak_alone(engine, prompts)
    with running(checkpoint, replace(CONFIG, uses_cuda_graphs=False), FLOAT32) as engine:
        expected = speak_alone(engine, prompts)
    for one, other in zip(spoken, expected, strict=True):
        assert one.codes == other.codes
        assert largest_difference(one.samples, other.samples) < TOLERANCE


@pytest.mark.parametrize("is_memory", [True, False])
def test_what_cannot_be_captured_is_called(is_memory: bool) -> None:
    """And the GPU, its memory and later captures go on: after a lack of memory with graphs, else without."""
    graphs, total = CudaGraphs(GPU), torch.zeros(1, device=GPU)

    def add(amount: int) -> None:
        total.add_(amount)
        if torch.cuda.is_current_stream_capturing() and amount == 1:
            if is_memory:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            total.item()  # waits for the device

    for amount in (1, 10):
        graphs.capture(add, amount)
        graphs.run(add, amount)
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    release_memory()
    assert total.item() == 2 * (1 + 10) - (0 if is_memory else 10)
    assert len(graphs) == (1 if is_memory else 0)
