import random
from collections import Counter
from typing import Any, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from serve_app.engine.config import EngineConfig
from serve_app.engine.scheduler import Scheduler
from serve_app.engine.sequence import PREFIX_EXTRA_ROWS, Prompt, SamplingParams, Sequence, Status


def new_sequence(sequence_id: int, num_tokens: int = 10, arrival_s: float = 0.0, delay_s: float = 0.0) -> Sequence:
    voice = cast(Any, None)  # the scheduler reads none
    return Sequence(sequence_id, Prompt(tuple(range(num_tokens)), voice, SamplingParams(), delay_s=delay_s), arrival_s)


class SchedulerMachine(RuleBasedStateMachine):
    """Sequences come, get codes, end or are aborted in any order; a ledger beside the scheduler keeps account."""

    @initialize(max_slots=st.integers(1, 5), max_prefill_rows=st.integers(1, 400))
    def start(self, max_slots: int, max_prefill_rows: int) -> None:
        self.config = EngineConfig(max_slots, max_prefill_rows=max_prefill_rows)
        self.scheduler = Scheduler(self.config)
        self.everyone: list[Sequence] = []
        self.waiting: list[Sequence] = []
        self.rendering: list[Sequence] = []
        self.ends: Counter[int] = Counter()

    @property
    def running(self) -> list[Sequence]:
        return [sequence for sequence in self.everyone if sequence.status is Status.RUNNING]

    def _end(self, sequence: Sequence, status: Status) -> None:
        self.ends[sequence.sequence_id] += 1
        assert sequence.status is status
        assert sequence.slot is None
        for group in (self.waiting, self.rendering):
            if sequence in group:
                group.remove(sequence)

    @rule(num_tokens=st.integers(1, 401), delay_s=st.integers(0, 8))
    def add(self, num_tokens: int, delay_s: int) -> None:
        sequence = new_sequence(len(self.everyone), num_tokens, len(self.everyone), delay_s)
        self.scheduler.add(sequence)
        self.everyone.append(sequence)
        self.waiting.append(sequence)

    @rule()
    def step(self) -> None:
        running, num_free = self.running, self.config.max_slots - len(self.running)
        expected = sorted(self.waiting, key=lambda sequence: sequence.due_s)[:num_free]  # stable: first come first
        step = self.scheduler.schedule()
        assert set(step.decode) == set(running)  # everyone who runs goes on: nobody starves
        assert len(step.decode) == len(running)
        assert list(step.prefill) == expected[: len(step.prefill)]  # whose audio is wanted first
        assert bool(step.prefill) == bool(expected)  # a free slot is given away at once
        rows = [sequence.num_prefix_rows for sequence in expected]
        if len(step.prefill) < len(expected):
            assert sum(rows[: len(step.prefill) + 1]) > self.config.max_prefill_rows
        if len(step.prefill) > 1:
            assert sum(rows[: len(step.prefill)]) <= self.config.max_prefill_rows
        assert bool(step) == bool(running or expected)
        for sequence in step.prefill:
            self.waiting.remove(sequence)
            assert sequence.status is Status.RUNNING
        assert all(not sequence.status.is_over for sequence in (*step.prefill, *step.decode))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish_decoding(self, data: st.DataObject) -> None:
        sequence = data.draw(st.sampled_from(self.running))
        self.scheduler.finish_decoding(sequence)
        assert sequence.status is Status.RENDERING
        assert sequence.slot is None
        self.rendering.append(sequence)

    @precondition(lambda self: self.rendering)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        sequence = data.draw(st.sampled_from(self.rendering))
        self.scheduler.finish(sequence)
        self._end(sequence, Status.FINISHED)

    @precondition(lambda self: self.running or self.rendering)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        sequence = data.draw(st.sampled_from([*self.running, *self.rendering]))
        self.scheduler.fail(sequence)
        self._end(sequence, Status.FAILED)

    @precondition(lambda self: self.everyone)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        """Anyone at any time, those that are over too."""
        sequence = data.draw(st.sampled_from(self.everyone))
        before = sequence.status
        self.scheduler.abort(sequence)
        if before.is_over:
            assert sequence.status is before
        else:
            self._end(sequence, Status.ABORTED)

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        by_status = Counter(sequence.status for sequence in self.everyone)
        assert self.scheduler.num_waiting == by_status[Status.WAITING] == len(self.waiting)
        assert self.scheduler.num_running == by_status[Status.RUNNING]
        over = [sequence for sequence in self.everyone if sequence.status.is_over]
        assert self.ends == Counter(sequence.sequence_id for sequence in over)  # each once

    @invariant()
    def no_slot_is_leaked_or_shared(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        slots = [sequence.slot for sequence in self.running]
        assert len(set(slots)) == len(slots)
        assert all(slot is not None and 0 <= slot < self.config.max_slots for slot in slots)
        assert self.scheduler.num_free_slots == self.config.max_slots - len(slots)
        assert all(s.slot is None for s in self.everyone if s.status is not Status.RUNNING)

    def teardown(self) -> None:
        """Left alone, the scheduler brings everyone to an end."""
        if not hasattr(self, "scheduler"):
            return
        for _ in range(len(self.everyone) + 1):
            for sequence in self.running:
                self.scheduler.finish_decoding(sequence)
            self.scheduler.schedule()
        assert self.scheduler.num_waiting == 0


SchedulerMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestScheduler = SchedulerMachine.TestCase


def test_long_random_life_ends_with_all_slots_free() -> None:
    """Ten thousand steps of one scheduler, as a server lives."""
    chance = random.Random(7)
    scheduler = Scheduler(EngineConfig(max_slots=4, max_prefill_rows=120))
    alive: list[Sequence] = []
    num_added = num_overtaken = 0
    for step in range(10_000):
        for _ in range(chance.randint(0, 2)):
            if scheduler.num_waiting >= 8:
                continue
            sequence = new_sequence(num_added, chance.randint(1, 60), step, chance.choice((0, 0, 20, 60)))
            scheduler.add(sequence)
            num_added += 1
            alive.append(sequence)
        prefill = scheduler.schedule().prefill
        waiting = [sequence for sequence in alive if sequence.status is Status.WAITING]
        assert all(first.due_s <= other.due_s for first in prefill for other in waiting)
        num_overtaken += any(other.arrival_s < first.arrival_s for first in prefill for other in waiting)
        for sequence in list(alive):
            if chance.random() < 0.01:
                scheduler.abort(sequence)
            elif sequence.status is Status.RUNNING and chance.random() < 0.2:
                scheduler.finish_decoding(sequence)
            elif sequence.status is Status.RENDERING:
                scheduler.finish(sequence)
            if sequence.status is Status.WAITING:
                assert step - sequence.arrival_s < 300  # nobody starves
        alive = [sequence for sequence in alive if not sequence.status.is_over]
        assert scheduler.num_running + scheduler.num_free_slots == 4
    assert num_added > 3_000
    assert num_overtaken > 100
    for sequence in alive:
        scheduler.abort(sequence)
    assert (scheduler.num_waiting, scheduler.num_running, scheduler.num_free_slots) == (0, 0, 4)


def test_prefix_counts_latents_marks_and_start_code() -> None:
    assert new_sequence(0, 23).num_prefix_rows == 23 + 32 + 2 + 1
    assert PREFIX_EXTRA_ROWS == 35


def test_prefix_larger_than_the_budget_is_read_alone() -> None:
    scheduler = Scheduler(EngineConfig(max_slots=4, max_prefill_rows=100))
    for sequence_id, num_tokens in enumerate((300, 10, 10, 300)):
        scheduler.add(new_sequence(sequence_id, num_tokens))
    steps = [[sequence.sequence_id for sequence in scheduler.schedule().prefill] for _ in range(3)]
    assert steps == [[0], [1, 2], [3]]


def test_newcomer_goes_before_sentences_that_are_heard_later() -> None:
    """Seven sentences ahead of the one that is heard leave the slot to who has heard nothing yet."""
    scheduler = Scheduler(EngineConfig(max_slots=1))
    for sequence_id in range(8):
        scheduler.add(new_sequence(sequence_id, arrival_s=0.0, delay_s=4.0 * sequence_id))
    scheduler.add(new_sequence(8, arrival_s=3.0))
    order = []
    for _ in range(9):
        (sequence,) = scheduler.schedule().prefill
        scheduler.finish_decoding(sequence)
        order.append(sequence.sequence_id)
    assert order == [0, 8, 1, 2, 3, 4, 5, 6, 7]
