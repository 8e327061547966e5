"""Speaks jobs in the background, part by part, over any `SpeechBackend`. Each HTTP process has one.

A part that is kept is never spoken again: after a crash whoever takes the lease goes on with the next one. A part's
seed follows from the job's, so a job's audio does not depend on who spoke it, and when. Knows no HTTP.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from serve_app import metrics
from serve_app.errors import JobDamaged, JobNotFound, ServiceError, StorageFailed, StorageFull
from serve_app.jobs.claims import Claim, Claims, Hold
from serve_app.jobs.job import Failure, State, Status
from serve_app.jobs.speaking import UNEXPECTED, Pace, PartSpeaker, Work
from serve_app.jobs.store import JobStore
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.speech.request import SpeechBackend

logger = logging.getLogger(__name__)

USUAL_PACE = Pace()
SWEEP_PERIOD_S = 3_600.0
TROUBLE_DELAY_S = 10.0
_T = TypeVar("_T")


class JobRunner:
    """`run` until it is cancelled; `wake` where there is something new. `max_running` jobs at once."""

    def __init__(
        self,
        backend: SpeechBackend,
        store: JobStore,
        max_running: int,
        recorder: Metrics = NOT_RECORDED,
        pace: Pace = USUAL_PACE,
    ) -> None:
        self._backend, self._store, self._recorder = backend, store, recorder
        self._max_running, self._pace = max_running, pace
        self._speaker = PartSpeaker(backend, recorder, pace)
        self._claims = Claims(store, pace.lease_s, recorder)
        self._thread = ThreadPoolExecutor(1, "jobs")  # of the claims; a beat never waits for other work of the process
        self._news = asyncio.Event()

    def wake(self) -> None:
        self._news.set()

    async def run(self) -> None:
        """Never returns. What it holds when it is cancelled is given back."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._sweep())
                for _ in range(self._max_running):
                    group.create_task(self._work())
        finally:
            self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        trouble = ""
        while True:
            self._news.clear()
            try:
                claim = await self._claim()
                trouble = ""
                if claim is not None:
                    await self._hold(claim)
                    continue
                delay_s = self._pace.poll_s
            except ServiceError as error:
                if error.message != trouble:
                    logger.warning("jobs wait: %s", error.message)
                trouble, delay_s = error.message, TROUBLE_DELAY_S
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), delay_s)

    async def _claim(self) -> Claim | None:
        """None where there is nothing to do, or no model yet to do it."""
        waiting = await self._in_thread(self._claims.waiting)
        if not waiting:
            return None
        status = await self._backend.status()
        return await self._in_thread(self._claims.next, waiting, status.model) if status.is_ready else None

    async def _hold(self, claim: Claim) -> None:
        """Works on the job while it is ours, then lets it go."""
        speaking = asyncio.create_task(self._speak(claim), name=f"speak {claim.folder.path.name}")
        hold = Hold.OURS
        try:
            hold = await self._watch(claim, speaking)
        finally:
            speaking.cancel()
            await asyncio.wait({speaking})
            if hold is Hold.CANCELLED and speaking.cancelled():
                with suppress(JobNotFound):
                    await self._end(claim, await asyncio.to_thread(claim.folder.state), Status.CANCELLED)
            await self._in_thread(self._claims.release, claim)
        if not speaking.cancelled():
            speaking.result()

    async def _watch(self, claim: Claim, speaking: asyncio.Task[None]) -> Hold:
        last_s = time.monotonic()
        while True:
            await asyncio.wait({speaking}, timeout=self._pace.beat_s)
            if speaking.done():
                return Hold.OURS
            try:
                hold = await self._in_thread(self._claims.look, claim)
                last_s = time.monotonic()
            except StorageFailed:  # others may soon take us for dead
                hold = Hold.LOST if time.monotonic() - last_s > self._pace.lease_s / 2 else Hold.OURS
            if hold is not Hold.OURS:
                logger.info("the job %s is left: %s", claim.folder.path.name, hold.name.lower())
                return hold

    async def _speak(self, claim: Claim) -> None:
        """What keeps this job from being spoken fails it, and no other; where jobs are kept is everyone's trouble."""
        try:
            await self._speak_its_turn(claim)
        except JobNotFound:
            return
        except (StorageFailed, StorageFull):
            raise
        except Exception as error:
            logger.exception("the job %s failed", claim.folder.path.name)
            known = error if isinstance(error, JobDamaged) else ServiceError(UNEXPECTED)
            failure = Failure(known.code, known.message)
            with suppress(JobNotFound):
                await self._end(claim, State(failure=failure), Status.FAILED)

    async def _speak_its_turn(self, claim: Claim) -> None:
        """Parts that are not there yet, as many as may be spoken in a row."""
        folder = claim.folder
        if await asyncio.to_thread(folder.is_cancelled):
            await self._end(claim, await asyncio.to_thread(folder.state), Status.CANCELLED)
            return
        work, state = await asyncio.to_thread(_opened, claim)
        await asyncio.to_thread(folder.write_state, state)
        missing = work.missing
        for index in missing[: self._pace.num_parts_in_a_row]:
            try:
                state = await self._speaker.speak(work, index, state)
            except JobNotFound:
                raise
            except ServiceError as error:
                self._recorder.add(metrics.JOB_PARTS, outcome="failed")
                item = work.item_of(index).id if work.head.is_list else None
                failure = Failure(error.code, error.message, item)
                await self._end(claim, replace(state, failure=failure), Status.FAILED)
                return
        if len(missing) <= self._pace.num_parts_in_a_row:
            await self._end(claim, state, Status.DONE)

    async def _end(self, claim: Claim, state: State, status: Status) -> None:
        state = replace(state, status=status, finished_at=time.time(), waiting_for=None)
        await asyncio.to_thread(claim.folder.write_state, state)
        self._recorder.add(metrics.JOBS, outcome=status.value)
        logger.info("the job %s is %s: %.1f s of speech", claim.folder.path.name, status.value, state.audio_s)

    async def _sweep(self) -> None:
        while True:
            try:
                if num_removed := await asyncio.to_thread(self._store.remove_old):
                    logger.info("removed %d old jobs", num_removed)
            except ServiceError as error:
                logger.warning("old jobs stay: %s", error.message)
            await asyncio.sleep(SWEEP_PERIOD_S)

    async def _in_thread(self, call: Callable[..., _T], *arguments: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)


def _opened(claim: Claim) -> tuple[Work, State]:
    """What is left to do. The parts are counted anew, since the last count may be older than they are; a damaged one
    is spoken again."""
    state, work = claim.folder.state(), Work.open(claim.folder)
    num_chars = num_samples = 0
    for index in sorted(work.done):
        try:
            num_samples += claim.folder.part_facts(index).num_samples
            num_chars += len(work.texts[index])
        except JobDamaged:
            work.done.discard(index)
    return work, replace(
        state,
        status=Status.RUNNING,
        started_at=state.started_at or time.time(),
        num_parts_done=len(work.done),
        num_chars_done=num_chars,
        audio_s=num_samples / work.head.sample_rate_hz,
    )
