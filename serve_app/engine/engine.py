"""Continuous batching: sentences in, audio out, on a thread of its own. Knows tokens and latents, not text or HTTP.

The loop is schedule → run → commit. Callers live on an event loop; between the two stand an inbox (a deque under a
condition) and one asyncio queue per sequence.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import replace

import numpy as np

from serve_app import metrics
from serve_app.engine.config import EngineConfig
from serve_app.engine.job import Job
from serve_app.engine.memory import MAX_FAILURES, PAUSE_S, PassSize, refusal, tried_twice
from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.renderer import Audio, Renderer
from serve_app.engine.reporter import EngineReporter
from serve_app.engine.scheduler import Scheduler
from serve_app.engine.sequence import (
    EngineLoad,
    EngineStats,
    FinishReason,
    Prompt,
    Sequence,
    SequenceOutput,
    Status,
)
from serve_app.engine.step_codes import PendingCodes, StepCodes
from serve_app.errors import (
    CeilingReached,
    EngineFailed,
    OutOfMemory,
    Overloaded,
    ServiceError,
    SynthesisFailed,
    Unavailable,
)
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.model.config import GptConfig

logger = logging.getLogger(__name__)

STOP_JOIN_S = 10.0
RENDER_POLL_S = 0.0005
Pass = tuple[tuple[Sequence, ...], PendingCodes]  # the rows of a pass and what it chooses
SHORTEN = "shorten the sentence, or try another seed"


class Engine:
    """Every sequence ends exactly once: finished, failed or aborted. If the loop dies, every waiter gets the error."""

    def __init__(
        self,
        runner: ModelRunner,
        renderer: Renderer,
        gpt: GptConfig,
        config: EngineConfig,
        recorder: Metrics = NOT_RECORDED,
    ) -> None:
        self._runner, self._renderer, self._gpt, self._config = runner, renderer, gpt, config
        self._scheduler = Scheduler(config)
        self._reporter = EngineReporter(recorder, self._scheduler, config.max_slots)
        self._prefill_size = PassSize("prefill", config.max_slots, recorder=recorder)
        self._decode_size = PassSize("decode", config.max_slots, recorder=recorder)
        self._metrics = recorder
        self._jobs: dict[int, Job] = {}  # alive, owned by the engine thread
        self._begun: deque[list[Pass]] = deque()  # of each step whose codes are not known yet, likewise
        self._condition = threading.Condition()
        self._inbox: deque[Job] = deque()  # under the condition, like the next four
        self._aborts: deque[Job] = deque()
        self._num_alive = 0
        self._num_added = 0
        self._is_closing = False
        self._failure: ServiceError | None = None
        self._error: Exception | None = None  # that ended the loop
        self._stats = EngineStats()
        self._last_step_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def stats(self) -> EngineStats:
        return self._stats

    @property
    def num_alive(self) -> int:
        """Sequences accepted and not over."""
        return self._num_alive

    @property
    def num_untouched_bytes(self) -> int:
        """Memory that full slots will hold besides what is held when none was filled yet."""
        return self._runner.num_untouched_bytes

    @property
    def load(self) -> EngineLoad:
        """As of now, from any thread."""
        due_s = self._scheduler.oldest_due_s
        num_wanted = self._scheduler.num_running + self._scheduler.num_waiting + len(self._inbox)
        wait_s = 0.0 if due_s is None else max(0.0, time.monotonic() - due_s)
        return EngineLoad(self._config.max_slots, num_wanted, wait_s)

    def check_health(self, max_step_s: float = 60.0) -> None:
        """Raises `EngineFailed` when the loop is dead, or alive and stuck in a step for longer than `max_step_s`."""
        if self._failure is not None:
            raise self._failure
        if not self._thread.is_alive():
            raise EngineFailed("the engine is stopped: restart the replica")
        if self._num_alive and time.monotonic() - self._last_step_s > max_step_s:
            raise EngineFailed(f"the engine has been in one step for over {max_step_s:.0f} s: restart the replica")

    async def generate(self, prompt: Prompt) -> AsyncGenerator[SequenceOutput]:
        """Audio of one sentence as its schedule asks; the last output carries the finish reason and the codes.

        Raises `Overloaded` at once when the queue is full, `Unavailable` when the engine is closing, `SynthesisFailed`
        for this sequence alone, `EngineFailed` when the loop died. Closing the iterator aborts the sequence.
        """
        job = self._submit(prompt)
        try:
            while True:
                item = await job.outputs.get()
                if isinstance(item, ServiceError):
                    raise item
                yield item
                if item.finish_reason is not None:
                    return
        finally:
            self._abort(job)

    def fail(self, error: EngineFailed) -> None:
        """Ends the loop: what it computes on was found to be broken elsewhere. Every waiter gets the error."""
        with self._condition:
            self._failure = self._failure or error
            self._condition.notify()

    async def drain(self) -> None:
        """Takes no more work and returns when what runs is over."""
        with self._condition:
            self._is_closing = True
        while self._num_alive and self._thread.is_alive():  # noqa: ASYNC110  the thread has no loop to wake ours
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Stops the thread; whoever still waits gets `Unavailable`."""
        with self._condition:
            self._is_closing = True
            if self._failure is None:
                self._failure = Unavailable("the engine is stopped: send the request again", retry_after_s=1.0)
            self._condition.notify()
        self._thread.join(STOP_JOIN_S)

    # -- on the caller's side ------------------------------------------------------------------------------------------

    def _submit(self, prompt: Prompt) -> Job:
        tokens = len(prompt.text_tokens)
        assert tokens <= self._gpt.max_sentence_tokens, f"{tokens} tokens: the text room splits below the limit"
        assert (prompt.sampling.num_forced_codes or 1) <= self._gpt.max_codes
        arrival_s = time.monotonic()
        stream = self._renderer.open(prompt, due_s=arrival_s + prompt.delay_s)
        with self._condition:
            if self._failure is not None:
                raise self._failure
            if self._is_closing:
                raise Unavailable("the engine is draining: send the request again", retry_after_s=1.0)
            is_full = self._num_alive >= self._config.max_slots + self._config.max_waiting
            if is_full and not prompt.is_continuation:
                raise Overloaded("the engine is full: try again in a moment", retry_after_s=1.0)
            if self._num_alive == 0:
                self._last_step_s = arrival_s  # the thread has slept, and is not stuck
            self._num_alive += 1
            self._num_added += 1
            sequence = Sequence(self._num_added, prompt, arrival_s)
            job = Job(sequence, stream, asyncio.get_running_loop(), asyncio.Queue())
            self._inbox.append(job)
            self._condition.notify()
        return job

    def _abort(self, job: Job) -> None:
        """Also called for sequences that ended by themselves, where it does nothing."""
        with self._condition:
            if not job.sequence.status.is_over:
                self._aborts.append(job)
                self._condition.notify()

    # -- on the engine thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._take_commands():
                self._step()
            self._renderer.finish()
        except Exception as error:
            logger.exception("the engine loop died")
            # With its frames it keeps memory that a broken GPU could not free without ending the process at once.
            self._error = error
            self._failure = EngineFailed(f"the engine died ({type(error).__name__}: {error}): restart the replica")
        self._fail_everyone()

    def _take_commands(self) -> bool:
        """Waits for work; takes newcomers and aborts. False when the engine is closed."""
        with self._condition:
            while not (self._jobs or self._inbox or self._aborts or self._failure):
                self._reporter.report(self._stats)
                self._condition.wait()
            self._last_step_s = time.monotonic()
            newcomers, aborts = list(self._inbox), list(self._aborts)
            self._inbox.clear()
            self._aborts.clear()
        for job in newcomers:
            self._jobs[job.sequence.sequence_id] = job
            self._scheduler.add(job.sequence)
        for job in aborts:
            self._scheduler.abort(job.sequence)
            self._forget(job)
        return self._failure is None

    def _step(self) -> None:
        """Begins what can be, then goes on with codes that are known: those of this step, or of the one before where
        the device works by itself.
        """
        step, before = self._scheduler.schedule(), self._stats
        started_s = time.monotonic()
        prefilled, not_prefilled = self._prefill_size.run(step.prefill, self._runner.prefill)
        middle_s = time.monotonic()
        going_on = tuple(sequence for sequence in step.decode if sequence.num_begun < self._most_codes(sequence))
        decoded, not_decoded = self._decode_size.run(going_on, self._runner.decode)
        for sequences, _ in prefilled:
            for sequence in sequences:
                sequence.started_s = started_s
        for sequences, _ in (*prefilled, *decoded):
            for sequence in sequences:
                sequence.num_ahead += 1
        num_codes, num_near_ties = self._know([*prefilled, *decoded])
        self._postpone(not_prefilled, not_decoded)
        render_start_s = time.monotonic()
        if not (prefilled or decoded):
            self._rest()
        num_samples = self._render()
        stats, passes = self._stats, (*prefilled, *decoded)
        self._stats = replace(
            stats,
            num_steps=stats.num_steps + bool(passes),
            num_prefills=stats.num_prefills + sum(len(sequences) for sequences, _ in prefilled),
            num_decode_rows=stats.num_decode_rows + sum(len(sequences) for sequences, _ in decoded),
            num_codes=stats.num_codes + num_codes,
            num_near_ties=stats.num_near_ties + num_near_ties,
            num_samples=stats.num_samples + num_samples,
            prefill_s=stats.prefill_s + middle_s - started_s,
            decode_s=stats.decode_s + render_start_s - middle_s,
            render_s=stats.render_s + time.monotonic() - render_start_s,
        )
        self._reporter.step(before, self._stats)

    def _most_codes(self, sequence: Sequence) -> int:
        """None is begun beyond these, whatever they turn out to be."""
        prompt, most = sequence.prompt, self._gpt.max_codes
        return min(prompt.sampling.num_forced_codes or most, prompt.max_codes or most, most)

    def _know(self, passes: list[Pass]) -> tuple[int, int]:
        """Goes on with codes that are known once these passes are begun. Returns how many, and the near-ties."""
        self._begun.append(passes)
        num_codes = num_near_ties = 0
        while len(self._begun) > (self._runner.num_ahead if passes else 0):
            for sequences, pending in self._begun.popleft():
                result = pending.wait()
                num_near_ties += result.num_near_ties
                num_codes += self._commit(sequences, result)
        return num_codes, num_near_ties

    def _postpone(self, not_prefilled: tuple[Sequence, ...], not_decoded: tuple[Sequence, ...]) -> None:
        """What found no memory in this step goes on in the next; the first of each, which was alone, a limited time."""
        for sequence in not_prefilled:
            self._scheduler.take_back(sequence)
        for sequence in (*not_prefilled[:1], *not_decoded[:1]):
            sequence.num_memory_failures += 1
            job = self._jobs.get(sequence.sequence_id)
            if job is not None and sequence.num_memory_failures >= MAX_FAILURES:
                self._refuse(job)
        if not_prefilled or not_decoded:
            time.sleep(PAUSE_S)

    def _refuse(self, job: Job) -> None:
        self._metrics.add(metrics.GUARDS, guard="out_of_memory")
        self._fail(job, refusal())

    def _commit(self, sequences: tuple[Sequence, ...], result: StepCodes) -> int:
        """Returns how many of the codes count: for who was over when the last one was begun, it does not."""
        stop, num_codes = self._gpt.stop_audio_token, 0
        for sequence, code, is_finite in zip(sequences, result.codes, result.is_finite, strict=True):
            if sequence.status is not Status.RUNNING:
                continue
            job = self._jobs[sequence.sequence_id]
            if not is_finite:
                self._metrics.add(metrics.GUARDS, guard="not_finite")
                self._fail(job, SynthesisFailed("the model gave values that are not numbers: try another seed"))
                continue
            sequence.num_codes, sequence.num_memory_failures = sequence.num_codes + 1, 0
            sequence.num_ahead -= 1
            job.codes.append(code)
            num_codes += 1
            if code == stop:
                self._finish_decoding(job, FinishReason.STOP)
            elif sequence.num_codes == sequence.prompt.sampling.num_forced_codes:
                self._finish_decoding(job, FinishReason.LENGTH)
            elif sequence.num_codes == self._gpt.max_codes:
                self._metrics.add(metrics.GUARDS, guard="ceiling")
                self._fail(job, CeilingReached(f"no end within the model's {self._gpt.max_codes} codes: {SHORTEN}"))
            elif (guard := job.guard()) is not None:
                self._metrics.add(metrics.GUARDS, guard=guard.name.lower())
                self._finish_decoding(job, guard)
            elif job.stream.is_chunk_due(sequence.num_codes):
                job.stream.grow(self._runner.latents(sequence))
        return num_codes

    def _finish_decoding(self, job: Job, reason: FinishReason) -> None:
        sequence = job.sequence
        sequence.finish_reason = reason
        try:
            latents = tried_twice(self._runner.latents(sequence).clone, "latents", self._metrics)
        except OutOfMemory:
            self._refuse(job)
            return
        job.stream.complete(latents)
        self._scheduler.finish_decoding(sequence)

    def _rest(self) -> None:
        """A moment, if all there is to do is made by the device itself, and nobody comes."""
        with self._condition:
            if self._renderer.is_busy and not (self._inbox or self._aborts or self._failure):
                self._condition.wait(RENDER_POLL_S)

    def _render(self) -> int:
        """Has audio made that is due, up to a bound, and hands over what is made. Returns the samples handed over."""
        by_stream = {id(job.stream): job for job in self._jobs.values()}
        num_samples = 0
        for audio in self._renderer.render(job.stream for job in self._jobs.values()):
            job = by_stream.get(id(audio.stream))
            if job is not None and not job.sequence.status.is_over:  # it was not given up meanwhile
                num_samples += len(audio.samples)
                self._hand_over(job, audio)
        for job in by_stream.values():
            if job.stream.num_memory_failures >= MAX_FAILURES:
                self._refuse(job)
        return num_samples

    def _hand_over(self, job: Job, audio: Audio) -> None:
        sequence, stream, samples = job.sequence, job.stream, audio.samples
        if not np.isfinite(samples).all():
            self._metrics.add(metrics.GUARDS, guard="not_finite")
            self._fail(job, SynthesisFailed("the vocoder gave values that are not numbers: try another seed"))
            return
        if stream.first_out_s is None:
            stream.first_out_s = time.monotonic()
        queue_s = sequence.started_s - sequence.arrival_s
        if not audio.is_last:
            job.put(SequenceOutput(samples, sequence.num_codes, queue_s=queue_s))
            return
        self._scheduler.finish(sequence)
        self._forget(job)
        job.put(SequenceOutput(samples, sequence.num_codes, sequence.finish_reason, queue_s, tuple(job.codes)))

    def _fail(self, job: Job, error: ServiceError) -> None:
        self._scheduler.fail(job.sequence)
        self._forget(job)
        job.put(error)

    def _forget(self, job: Job) -> None:
        if self._jobs.pop(job.sequence.sequence_id, None) is not None:
            self._reporter.over(job.sequence.status)
            with self._condition:
                self._num_alive -= 1

    def _fail_everyone(self) -> None:
        failure = self._failure or EngineFailed("the engine stopped: restart the replica")
        with self._condition:
            self._failure = failure
            jobs = [*self._jobs.values(), *self._inbox]
            self._inbox.clear()
            self._jobs.clear()
            self._num_alive = 0
        for job in jobs:
            if not job.sequence.status.is_over:
                job.sequence.status = Status.FAILED
                self._reporter.over(Status.FAILED)
                job.put(failure)
