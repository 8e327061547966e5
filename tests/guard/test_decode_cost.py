"""What a decode step costs, in counts that no other load on the machine can change; and that a slower one is noticed.

Bounds are today's counts of `synthetic:tiny` (four layers, width 128) and a little. Whoever makes a step cheaper lowers
them; whoever must raise one says why.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from serve_app.engine.config import EngineConfig
from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.sequence import Prompt, SamplingParams, Sequence, Status
from serve_app.engine.step_codes import PendingCodes
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.gpt import Attend
from tests.engine.reference import load
from tests.engine.support import make_runner, make_tokens, make_voice
from tests.guard.counting import Counts, counting

NUM_SLOTS = 8
TEXT_TOKENS, NUM_CODES = 20, 90
SLACK = {"num_operators": 2, "num_allocations": 1}
BYTES_SLACK = 1.01

# By the way a step is made (each sequence for itself, as on a CPU; all slots at once, as on a GPU) and its rows.
TODAY = {
    ("each", 1): {"num_operators": 243, "num_allocations": 139, "allocated_bytes": 127_899, "copied_bytes": 14_814},
    ("each", 8): {"num_operators": 320, "num_allocations": 167, "allocated_bytes": 962_586, "copied_bytes": 118_512},
    ("fixed", 1): {"num_operators": 255, "num_allocations": 136, "allocated_bytes": 127_857, "copied_bytes": 10_388},
    ("fixed", 8): {"num_operators": 248, "num_allocations": 136, "allocated_bytes": 954_200, "copied_bytes": 83_104},
}
# Each sequence for itself: one read of what was chosen. All slots at once: two arrays of the host are opened, one to be
# sent and one received, each of its own memory, so that a step may be begun before the last one is read.
WAITS = {"each": {"num_waits": 1, "num_moves": 4}, "fixed": {"num_waits": 2, "num_moves": 1}}
# One read as well, and an array opened for each thing sent: the inputs of a pass over prefixes (eight take two passes)
# and of the step that chooses their codes.
PREFILL = {1: {"num_operators": 301, "num_waits": 3, "num_moves": 7}, 8: {"num_operators": 448, "num_waits": 4}}


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load("synthetic:tiny")[0]


def bounds(way: str, num_rows: int) -> dict[str, int]:
    found = {}
    for name, today in TODAY[way, num_rows].items():
        found[name] = int(today * BYTES_SLACK) if name.endswith("bytes") else today + SLACK[name]
    return found | WAITS[way]


def sequences(checkpoint: Checkpoint, num: int) -> tuple[Sequence, ...]:
    def prompt(seed: int) -> Prompt:
        sampling = SamplingParams(seed=seed, num_forced_codes=NUM_CODES)
        return Prompt(make_tokens(TEXT_TOKENS, seed), make_voice(checkpoint, seed), sampling)

    return tuple(Sequence(seed, prompt(seed), status=Status.RUNNING, slot=seed) for seed in range(num))


def decode(runner: ModelRunner, rows: tuple[Sequence, ...], num_steps: int) -> tuple[Counts, Counts]:
    """Of the second step and the last; the first makes what is kept while the same sequences run."""
    runner.prefill(rows).wait()
    found = []
    for number in range(num_steps):
        for sequence in rows:
            sequence.num_codes += 1
        with counting() if number in (1, num_steps - 1) else nullcontext(Counts()) as counts:
            runner.decode(rows).wait()
        found.append(counts)
    return found[1], found[-1]


def make(checkpoint: Checkpoint, way: str) -> ModelRunner:
    return make_runner(checkpoint, EngineConfig(max_slots=NUM_SLOTS), has_fixed_steps=way == "fixed")


@pytest.mark.parametrize(("way", "num_rows"), list(TODAY))
def test_step_costs_what_it_did(checkpoint: Checkpoint, way: str, num_rows: int) -> None:
    first, last = decode(make(checkpoint, way), sequences(checkpoint, num_rows), 8)
    assert last.over(bounds(way, num_rows)) == []
    assert last == first


@pytest.mark.parametrize("way", ["each", "fixed"])
def test_late_step_costs_what_an_early_one_does(checkpoint: Checkpoint, way: str) -> None:
    """But for the mask over all slots, which is as wide as their longest."""
    early, late = decode(make(checkpoint, way), sequences(checkpoint, 8), NUM_CODES - 1)
    same = {name: getattr(early, name) for name in ("num_operators", "num_allocations", "copied_bytes", "num_waits")}
    assert late.over(same | {"allocated_bytes": int(early.allocated_bytes * 1.02)}) == []


@pytest.mark.parametrize("num_rows", list(PREFILL))
def test_prefixes_are_read_with_one_wait(checkpoint: Checkpoint, num_rows: int) -> None:
    runner, rows = make(checkpoint, "fixed"), sequences(checkpoint, num_rows)
    with counting() as counts:
        runner.prefill(rows).wait()
    assert counts.over(PREFILL[num_rows]) == []


# -- that the guards can fail ------------------------------------------------------------------------------------------

Step = Callable[[tuple[Sequence, ...]], PendingCodes]
Block = Callable[[Tensor, Tensor | None, int, Attend], tuple[Tensor, Tensor]]
Spoil = Callable[[ModelRunner, Step], Step]


def _waits(runner: ModelRunner, step: Step) -> Step:
    def spoilt(rows: tuple[Sequence, ...]) -> PendingCodes:
        assert runner._state.latents[0, 0, 0].item() < 1e9
        return step(rows)

    return spoilt


def _one_row_at_a_time(runner: ModelRunner, step: Step) -> Step:
    def spoilt(rows: tuple[Sequence, ...]) -> PendingCodes:
        for row in rows[1:]:
            step((row,)).wait()
        return step(rows[:1])

    return spoilt


def _copies_once(runner: ModelRunner, step: Step) -> Step:
    def spoilt(rows: tuple[Sequence, ...]) -> PendingCodes:
        runner._state.seen.clone()
        return step(rows)

    return spoilt


def _copies_in_every_layer(runner: ModelRunner, step: Step) -> Step:
    def copying(block: Block) -> Block:
        return lambda x, more, layer, attend: block(x.clone(), more, layer, attend)

    runner._gpt._blocks = [copying(block) for block in runner._gpt._blocks]  # type: ignore[assignment]
    return step


def _sends_one_more(runner: ModelRunner, step: Step) -> Step:
    def spoilt(rows: tuple[Sequence, ...]) -> PendingCodes:
        runner._index([len(rows)])
        return step(rows)

    return spoilt


SPOILT: Mapping[str, tuple[Spoil, str]] = {
    "waits": (_waits, "num_waits"),
    "one row at a time": (_one_row_at_a_time, "num_operators"),
    "copies once": (_copies_once, "copied_bytes"),
    "copies in every layer": (_copies_in_every_layer, "num_allocations"),
    "sends one more": (_sends_one_more, "num_moves"),
}


@pytest.mark.parametrize("way", ["each", "fixed"])
@pytest.mark.parametrize("name", list(SPOILT))
@torch.inference_mode()
def test_slower_step_is_noticed(checkpoint: Checkpoint, way: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil, noticed_by = SPOILT[name]
    runner = make(checkpoint, way)
    monkeypatch.setattr(runner, "decode", spoil(runner, runner.decode))
    found = decode(runner, sequences(checkpoint, 8), 4)[-1].over(bounds(way, 8))
    assert any(each.startswith(noticed_by) for each in found), found
