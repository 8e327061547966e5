"""The GPU's decode step on a CPU: the same codes and latents as the step that takes each sequence for itself."""

import random
from dataclasses import replace

import pytest
import torch

from serve_app.engine import buckets
from serve_app.engine.buckets import Buckets, fitting, num_prefixes
from serve_app.engine.config import EngineConfig
from serve_app.engine.cuda_graphs import Call, Calls
from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.sequence import Prompt, SamplingParams, Sequence, Status
from serve_app.engine.step_codes import StepCodes
from serve_app.model.checkpoint import Checkpoint
from tests.engine.reference import load
from tests.engine.support import largest_difference, make_runner, make_tokens, make_voice, running, speak_alone

NUM_SLOTS = 6
CONFIG = EngineConfig(max_slots=NUM_SLOTS)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load("synthetic:tiny")[0]


def _prompt(checkpoint: Checkpoint, seed: int, num_codes: int = 30) -> Prompt:
    """Every kind of sampling in turn, texts of 2 to 70 tokens."""
    chance = random.Random(seed)
    sampling = SamplingParams(
        seed=seed,
        is_greedy=seed % 4 == 0,
        num_forced_codes=num_codes if seed % 3 else None,
        temperature=chance.choice((0.6, 1.0)),
        top_k=(50, 0, 1, 64, 65, 2)[seed % 6],
        top_p=chance.choice((0.5, 0.85, 1.0)),
        repetition_penalty=chance.choice((1.0, 5.0)),
    )
    return Prompt(make_tokens(chance.randint(2, 70), seed), make_voice(checkpoint, seed), sampling)


def _sequence(checkpoint: Checkpoint, seed: int, slot: int) -> Sequence:
    return Sequence(seed, _prompt(checkpoint, seed), status=Status.RUNNING, slot=slot)


def _runner(checkpoint: Checkpoint, config: EngineConfig = CONFIG) -> ModelRunner:
    return make_runner(checkpoint, config, has_fixed_steps=True)


def _take(sequences: list[Sequence]) -> None:
    for sequence in sequences:
        sequence.num_codes += 1


def _prefill(runner: ModelRunner, sequences: list[Sequence]) -> StepCodes:
    codes = runner.prefill(tuple(sequences)).wait()
    _take(sequences)
    return codes


def test_codes_and_latents_equal_those_of_each_alone(checkpoint: Checkpoint) -> None:
    """Newcomers and leavers at random slots, several buckets of rows and positions, every kind of sampling."""
    chance = random.Random(5)
    each, fixed = make_runner(checkpoint, CONFIG), _runner(checkpoint)
    alive: list[Sequence] = []
    num_met = num_compared = 0
    positions = set()
    for step in range(180):
        free = sorted(set(range(NUM_SLOTS)) - {sequence.slot for sequence in alive})
        newcomers = []
        while free and chance.random() < 0.08:
            num_met += 1
            newcomers.append(_sequence(checkpoint, num_met, free.pop(chance.randrange(len(free)))))
        if newcomers:
            assert each.prefill(tuple(newcomers)).wait() == fixed.prefill(tuple(newcomers)).wait()
        chance.shuffle(alive)
        if alive:
            assert each.decode(tuple(alive)).wait() == fixed.decode(tuple(alive)).wait(), step
            positions.add(fitting(buckets.POSITIONS, max(map(_num_positions, alive))))
        alive += newcomers
        _take(alive)
        for sequence in alive:
            assert largest_difference(each.latents(sequence)[-1], fixed.latents(sequence)[-1]) < 1e-5
            assert torch.equal(_codes(each, sequence), _codes(fixed, sequence))
        num_compared += len(alive)
        alive = [sequence for sequence in alive if chance.random() > 0.01]
    assert num_met >= 10 and num_compared > 400
    assert len(positions) >= 3


def _codes(runner: ModelRunner, sequence: Sequence) -> torch.Tensor:
    return runner._state.codes[sequence.slot, : sequence.num_codes]


def _num_positions(sequence: Sequence) -> int:
    return len(sequence.prompt.text_tokens) + 35 + sequence.num_codes


def test_pass_over_some_leaves_the_others_as_they_are(checkpoint: Checkpoint) -> None:
    """As where memory runs out: a step begun and made in parts is the step made at once."""
    whole, parts = _runner(checkpoint), _runner(checkpoint)
    sequences = [_sequence(checkpoint, seed, slot) for slot, seed in enumerate((7, 8, 9, 10))]
    for runner in (whole, parts):
        runner.prefill(tuple(sequences))
    _take(sequences)
    for _ in range(5):
        expected = whole.decode(tuple(sequences)).wait()
        _begin(parts, sequences)
        for part in (sequences[2:], sequences[:1], sequences[1:2]):
            rest = [slot for slot in range(NUM_SLOTS) if slot not in {sequence.slot for sequence in part}]
            before = [tensor[..., rest, :].clone() for tensor in _kept(parts)]
            result = parts.decode(tuple(part)).wait()
            assert result.codes == [expected.codes[sequences.index(sequence)] for sequence in part]
            after = [tensor[..., rest, :] for tensor in _kept(parts)]
            assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
        _take(sequences)


@torch.inference_mode()
def _begin(runner: ModelRunner, sequences: list[Sequence]) -> None:
    """A step up to its latents, where memory runs out."""
    fixed = runner._fixed
    assert fixed is not None
    step, rows = fixed.decode_step, [fixed._row(each, each.num_begun, each.num_cached) for each in sequences]
    step._send(rows, NUM_SLOTS)
    step._forward(NUM_SLOTS, 128)


def _kept(runner: ModelRunner) -> list[torch.Tensor]:
    """Everything kept of the slots, [..., slots, values]."""
    state, slots = runner._state, NUM_SLOTS + 1
    columns = state.sampling._columns.values()
    own = [tensor.view(slots, -1) for tensor in (state.latents.nan_to_num(), state.codes, state.seen, *columns)]
    return [runner._cache._cache.flatten(2), *own]


def test_nothing_of_an_earlier_sequence_or_a_neighbour_leaks(checkpoint: Checkpoint) -> None:
    """Slots that a failed sequence filled with NaN: one for a new sequence, the others free beside it."""
    outcomes = []
    for rubbish in (0.0, float("nan"), float("inf")):
        runner = _runner(checkpoint)
        runner._cache._cache.fill_(rubbish)
        assert runner._fixed is not None
        runner._fixed.decode_step.ill.update(range(NUM_SLOTS))  # as is told when a sequence fails
        runner._state.latents.fill_(rubbish)
        sequence = _sequence(checkpoint, 9, 2)
        results = [_prefill(runner, [sequence])]
        for _ in range(20):
            results.append(runner.decode((sequence,)).wait())
            _take([sequence])
        assert all(result.is_finite == [True] for result in results)
        outcomes.append(([result.codes for result in results], runner.latents(sequence).clone()))
    for codes, latents in outcomes[1:]:
        assert codes == outcomes[0][0]
        assert torch.equal(latents, outcomes[0][1])


def test_values_that_are_not_numbers_are_told_of_their_row_alone(checkpoint: Checkpoint) -> None:
    runner = _runner(checkpoint)
    sequences = [_sequence(checkpoint, seed, slot) for slot, seed in enumerate((1, 2, 3))]
    _prefill(runner, sequences)
    runner._cache._cache[1, 1, 0, 0, 5] = float("nan")
    assert runner.decode(tuple(sequences)).wait().is_finite == [True, False, True]
    fixed = runner._fixed
    assert fixed is not None and fixed.decode_step.ill == {1}
    runner._cache._cache[1, 1, 0, 0, 300] = float("nan")  # as its later steps may leave
    newcomer = _sequence(checkpoint, 5, 1)
    assert _prefill(runner, [newcomer]).is_finite == [True]
    assert fixed.decode_step.ill == set()
    assert runner._cache._cache[:, 1].isfinite().all()


def test_company_does_not_change_a_bit_in_deterministic_mode(checkpoint: Checkpoint) -> None:
    """Nor does which of the slots a sequence has, or what the others sample from."""
    outcomes = []
    for slot, company in ((0, ()), (5, (1, 4)), (2, (0, 1, 3, 4, 5))):
        runner = _runner(checkpoint, replace(CONFIG, max_slots=12, is_deterministic=True))
        others = [_sequence(checkpoint, 20 + other, other) for other in company]
        sequence = _sequence(checkpoint, 3, slot)
        codes = [_prefill(runner, [*others, sequence]).codes[-1]]
        for _ in range(25):
            codes.append(runner.decode((*others, sequence)).wait().codes[-1])
            _take([*others, sequence])
        outcomes.append((codes, runner.latents(sequence).clone()))
    for codes, latents in outcomes[1:]:
        assert codes == outcomes[0][0]
        assert torch.equal(latents, outcomes[0][1])


def test_engine_speaks_the_same_with_it(checkpoint: Checkpoint) -> None:
    prompts = [_prompt(checkpoint, seed) for seed in (1, 2, 4, 5)]
    with running(checkpoint, CONFIG) as engine:
        expected = speak_alone(engine, prompts)
    with running(checkpoint, CONFIG, runner=_runner(checkpoint)) as engine:
        spoken = speak_alone(engine, prompts)
    for one, other in zip(spoken, expected, strict=True):
        assert one.codes == other.codes
        assert largest_difference(one.samples, other.samples) < 1e-4


class Captured(Calls):
    """In place of graphs: runs what is captured at once, as their warm-up does, and only that later."""

    def __init__(self) -> None:
        self.calls: set[tuple[Call, tuple[int, ...]]] = set()
        self.replayed: set[tuple[Call, tuple[int, ...]]] = set()

    def capture(self, call: Call, *sizes: int) -> None:
        self.calls.add((call, sizes))
        call(*sizes)

    def run(self, call: Call, *sizes: int) -> None:
        assert (call, sizes) in self.calls
        self.replayed.add((call, sizes))
        call(*sizes)


def test_capture_takes_in_every_shape_and_touches_no_slot(checkpoint: Checkpoint) -> None:
    runner, plain, graphs = _runner(checkpoint), _runner(checkpoint), Captured()
    sequences = [_sequence(checkpoint, 40 + slot, slot) for slot in range(NUM_SLOTS)]
    for each in (runner, plain):
        each.prefill(tuple(sequences))
    _take(sequences)
    before = [tensor[..., :NUM_SLOTS, :].clone() for tensor in _kept(runner)]
    fixed = runner._fixed
    assert fixed is not None
    fixed.decode_step.calls = graphs
    runner.warm_up()
    after = [tensor[..., :NUM_SLOTS, :] for tensor in _kept(runner)]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    for num_rows in (6, 5, 4, 3, 2, 1) * 20:
        part = tuple(sequences[:num_rows])
        assert runner.decode(part).wait() == plain.decode(part).wait()
        _take(list(part))
    for slot in range(NUM_SLOTS):
        newcomers = [_sequence(checkpoint, 70 + slot + num, num) for num in range(slot + 1)]
        assert runner.prefill(tuple(newcomers)).wait() == plain.prefill(tuple(newcomers)).wait()
    assert len(graphs.calls) == 4 * (7 + 2) + sum(
        len(num_prefixes(CONFIG, length)) for length in fixed.buckets.prefixes
    )
    assert len(graphs.replayed) >= 14


@pytest.mark.parametrize(
    ("max_slots", "rows"), [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (64, (1, 2, 4, 8, 16, 32, 64))]
)
def test_buckets_end_with_everything(max_slots: int, rows: tuple[int, ...]) -> None:
    found = Buckets.of(EngineConfig(max_slots=max_slots), 1_040, 1_026, 436)
    assert found.rows == rows
    assert found.positions == (128, 192, 256, 384, 512, 768, 1_040)
    assert found.candidates == (64, 1_026)
    assert found.prefixes == (64, 96, 128, 192, 256, 436)
    assert Buckets.of(EngineConfig(max_slots=max_slots), 128, 50, 64) == Buckets(rows, (128,), (50,), (64,))


def test_deterministic_mode_has_one_bucket() -> None:
    config = EngineConfig(max_slots=8, is_deterministic=True)
    assert Buckets.of(config, 1_040, 1_026, 70) == Buckets((8,), (1_040,), (1_026,), (64, 70))
    assert num_prefixes(config, 64) == (1,)


def test_prefixes_of_a_pass_are_bounded() -> None:
    """By their rows, their number and the slots there are; one is always read."""
    config = EngineConfig(max_slots=64, max_prefill_rows=2_048)
    assert num_prefixes(config, 64) == (1, 2, 4, 8, 16)
    assert num_prefixes(config, 436) == (1, 2, 4)
    assert num_prefixes(EngineConfig(max_slots=3), 64) == (1, 2, 3)
    assert num_prefixes(EngineConfig(max_slots=64, max_prefill_rows=64), 436) == (1,)


def test_least_bucket_that_is_enough_is_taken() -> None:
    assert [fitting((1, 2, 4, 6), needed) for needed in (1, 2, 3, 4, 5, 6)] == [1, 2, 4, 4, 6, 6]
