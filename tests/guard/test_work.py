"""How much work speech is: passes and rows of the GPT, windows of the vocoder, and nothing that piles up.

Each guard is a question about counts that the engine as it is answers with yes, and a slower one with no.
"""

import gc
import time
from typing import Any

import pytest
import torch
from torch import Tensor

from serve_app.engine.config import EngineConfig
from serve_app.engine.sequence import PREFIX_EXTRA_ROWS, STREAMING_CHUNKS, WHOLE, Prompt, SamplingParams, Sequence
from serve_app.engine.step_codes import PendingCodes
from serve_app.model.checkpoint import Checkpoint
from tests.engine.reference import load
from tests.engine.support import make_runner, make_tokens, make_voice, run, running
from tests.guard.watch import GatedRunner, Watch, Work, speak_together

NUM_AT_ONCE, NUM_CODES, TEXT_TOKENS = 8, 30, 20
TOGETHER = EngineConfig(max_slots=NUM_AT_ONCE)
LIKE_A_GPU = EngineConfig(max_slots=NUM_AT_ONCE, max_window_batch=NUM_AT_ONCE, max_render_frames=2_048)
LENGTHS = (5, 30, 17, 28, 9, 11, 2, 24)

# Today's counts for 30 codes.
WINDOWS = {STREAMING_CHUNKS: 3, WHOLE: 2}  # of a sentence
FRAMES_PER_AUDIO_S = {STREAMING_CHUNKS: 139.0, WHOLE: 116.0}  # 93.75 are heard; the rest is context
WAITS_PER_WINDOW = 1  # its samples are opened


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load("synthetic:tiny")[0]


@pytest.fixture
def watch(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(checkpoint, monkeypatch)


@pytest.fixture
def equal(checkpoint: Checkpoint) -> list[Prompt]:
    return _prompts(checkpoint, (NUM_CODES,) * NUM_AT_ONCE)


def _prompts(
    checkpoint: Checkpoint, lengths: tuple[int, ...], chunks: tuple[int, ...] = STREAMING_CHUNKS
) -> list[Prompt]:
    return [
        Prompt(
            make_tokens(TEXT_TOKENS, seed),
            make_voice(checkpoint, 1),
            SamplingParams(seed=seed, num_forced_codes=num_codes),
            chunk_codes=chunks,
        )
        for seed, num_codes in enumerate(lengths)
    ]


def _is_batched(work: Work) -> bool:
    """About as many passes as one sentence alone takes: a pass a code, and one more for each step with newcomers."""
    return len(work.pass_rows) <= NUM_CODES + 3


def _reads_each_row_once(work: Work) -> bool:
    """Of its prefix and of its codes but the last: no second prefill, no second pass, nothing for who has finished."""
    prefixes = work.num_sentences * (TEXT_TOKENS + PREFIX_EXTRA_ROWS)
    return work.num_rows == prefixes + work.num_codes - work.num_sentences


def _renders_as_little(work: Work, chunks: tuple[int, ...]) -> bool:
    return (
        work.num_windows <= WINDOWS[chunks] * work.num_sentences
        and work.num_frames <= FRAMES_PER_AUDIO_S[chunks] * work.audio_s
    )


def _renders_together(work: Work) -> bool:
    """Windows that are due together make a batch: no more than twice the passes that a sentence alone takes."""
    return len(work.pass_windows) <= 2 * WINDOWS[STREAMING_CHUNKS]


def _waits_as_little(work: Work) -> bool:
    """Once a pass for what was chosen, and for its windows' samples."""
    return work.num_waits <= len(work.pass_rows) + WAITS_PER_WINDOW * work.num_windows


def test_eight_at_once_take_the_passes_of_one(watch: Watch, equal: list[Prompt]) -> None:
    alone = watch.speak(equal[:1], TOGETHER)
    together = watch.speak(equal, TOGETHER)
    assert len(alone.pass_rows) == NUM_CODES
    assert together.num_codes == NUM_AT_ONCE * NUM_CODES
    assert _is_batched(together)


def test_one_after_another_is_noticed(watch: Watch, equal: list[Prompt]) -> None:
    assert not _is_batched(watch.speak(equal[:2], EngineConfig(max_slots=1)))
    assert not _is_batched(watch.speak(equal, EngineConfig(max_slots=7)))


@pytest.mark.parametrize("lengths", [(NUM_CODES,), (NUM_CODES,) * NUM_AT_ONCE, LENGTHS], ids=["one", "equal", "mixed"])
def test_each_row_is_read_once(watch: Watch, checkpoint: Checkpoint, lengths: tuple[int, ...]) -> None:
    work = watch.speak(_prompts(checkpoint, lengths), TOGETHER)
    assert work.num_codes == sum(lengths)
    assert _reads_each_row_once(work)


class PrefillsTwice(GatedRunner):
    def prefill(self, sequences: tuple[Sequence, ...]) -> PendingCodes:
        super().prefill(sequences)
        return super().prefill(sequences)


class StepsTheFinished(GatedRunner):
    """Keeps whoever was in an earlier step in the later ones."""

    num_met = 0

    def _pad(self, x: Tensor) -> Tensor:
        self.num_met = max(self.num_met, x.shape[0])
        return torch.cat([x, x.new_zeros(self.num_met - x.shape[0], x.shape[1])])


@pytest.mark.parametrize("kind", [PrefillsTwice, StepsTheFinished])
def test_row_read_in_vain_is_noticed(watch: Watch, checkpoint: Checkpoint, kind: type[GatedRunner]) -> None:
    assert not _reads_each_row_once(watch.speak(_prompts(checkpoint, LENGTHS), TOGETHER, kind))


@pytest.mark.parametrize("chunks", list(WINDOWS), ids=["streamed", "whole"])
@pytest.mark.parametrize("config", [TOGETHER, LIKE_A_GPU], ids=["as on a CPU", "as on a GPU"])
def test_vocoder_reads_little_beside_what_is_heard(
    watch: Watch, checkpoint: Checkpoint, config: EngineConfig, chunks: tuple[int, ...]
) -> None:
    work = watch.speak(_prompts(checkpoint, (NUM_CODES,) * NUM_AT_ONCE, chunks), config, counts_waits=True)
    assert _renders_as_little(work, chunks)
    assert _waits_as_little(work)


def test_narrow_windows_are_noticed(watch: Watch, checkpoint: Checkpoint) -> None:
    narrow = EngineConfig(max_slots=NUM_AT_ONCE, max_window_frames=64)
    prompts = _prompts(checkpoint, (NUM_CODES,) * NUM_AT_ONCE, WHOLE)
    assert not _renders_as_little(watch.speak(prompts, narrow), WHOLE)


def test_windows_due_together_make_a_batch(watch: Watch, equal: list[Prompt]) -> None:
    assert _renders_together(watch.speak(equal, LIKE_A_GPU))
    assert not _renders_together(watch.speak(equal, TOGETHER))  # where each window is a pass of its own


class ReadsAgain(GatedRunner):
    def decode(self, sequences: tuple[Sequence, ...]) -> PendingCodes:
        result = super().decode(sequences)
        assert self.latents(sequences[0]).tolist()
        return result


def test_second_read_of_the_device_is_noticed(watch: Watch, equal: list[Prompt]) -> None:
    assert not _waits_as_little(watch.speak(equal, TOGETHER, ReadsAgain, counts_waits=True))


class Hoards(GatedRunner):
    """Keeps the latents of each step, as a list that nobody empties would."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.kept: list[Tensor] = []

    def decode(self, sequences: tuple[Sequence, ...]) -> PendingCodes:
        self.kept.append(self.latents(sequences[0])[-1].clone())
        return super().decode(sequences)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "grows"), [(GatedRunner, False), (Hoards, True)], ids=["as it is", "hoards"])
def test_nothing_piles_up(checkpoint: Checkpoint, kind: type[GatedRunner], grows: bool) -> None:
    """After 240 steps there are as many tensors, bytes of them, and objects of our classes, as after the first 60."""
    runner = make_runner(checkpoint, TOGETHER, kind=kind)
    assert isinstance(runner, GatedRunner)
    prompts = _prompts(checkpoint, (NUM_CODES,) * 4)
    held = []
    with running(checkpoint, TOGETHER, runner=runner) as engine:
        for num_rounds in (2, 6):
            for _ in range(num_rounds):
                run(speak_together(engine, runner, prompts))
            time.sleep(0.2)  # the engine's last step may hold tensors while its audio is heard already
            held.append(_held())
    (tensors, num_bytes, objects), (later_tensors, later_bytes, later_objects) = held
    assert (later_tensors > tensors) is grows
    assert (later_bytes > num_bytes) is grows
    assert later_objects <= objects


def _held() -> tuple[int, int, int]:
    """Tensors alive, bytes of their memory, and objects of our own classes."""
    gc.collect()
    objects = [(each, type(each)) for each in gc.get_objects()]  # not every object likes `isinstance`
    tensors = [each for each, kind in objects if issubclass(kind, Tensor)]
    storages = [tensor.untyped_storage() for tensor in tensors if tensor.layout is torch.strided]
    num_bytes = {storage.data_ptr(): storage.nbytes() for storage in storages}
    num_ours = sum(str(kind.__module__).startswith("serve_app.") for _, kind in objects)
    return len(tensors), sum(num_bytes.values()), num_ours
