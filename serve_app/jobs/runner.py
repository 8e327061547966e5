"""Speaks jobs through the seam, part by part, beside live requests. Where a process dies, another goes on."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import cast

import numpy as np

from serve_app import metrics
from serve_app.audio.pcm import Samples
from serve_app.errors import (
    EngineFailed,
    JobNotFound,
    Overloaded,
    RequestError,
    ServiceError,
    StorageFailed,
    StorageFull,
    SynthesisFailed,
    Unavailable,
)
from serve_app.jobs.job import JobHead, JobWork, SpokenPart, part_seed
from serve_app.jobs.store import LEASE_S, JobStore
from serve_app.metrics import Metrics
from serve_app.speech.request import AudioChunk, SpeechBackend, SpeechRequest

logger = logging.getLogger(__name__)

LOOK_S = 2.0  # between two looks for jobs of other processes
MAX_WAIT_S = 30.0  # between two tries while the engine is full, away or its disk is
MAX_FAILURES = 3  # of one part


class JobRunner:
    """One in each HTTP process. `run` goes on until it is cancelled; what was being spoken is then another's."""

    def __init__(
        self, backend: SpeechBackend, store: JobStore, max_running: int, max_age_s: float, recorder: Metrics
    ) -> None:
        self._backend, self._store, self._metrics = backend, store, recorder
        self._max_running, self._max_age_s = max_running, max_age_s
        self._name = secrets.token_hex(8)
        self._news = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}

    def look(self) -> None:
        """A job was added or cancelled."""
        self._news.set()

    async def run(self) -> None:
        try:
            while True:
                try:
                    await self._take_jobs()
                except (StorageFailed, StorageFull) as error:
                    logger.warning("jobs wait: %s", error.message)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), LOOK_S)
                self._news.clear()
        finally:
            tasks = [*self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take_jobs(self) -> None:
        """The oldest that nobody speaks, as many as may run."""
        ids = await asyncio.to_thread(self._store.ids)
        self._metrics.set(metrics.JOBS_KEPT, len(ids))
        for job_id in reversed(ids):
            if job_id in self._running:
                continue
            if await asyncio.to_thread(self._is_old, job_id):
                await asyncio.to_thread(self._store.remove, job_id)
            elif len(self._running) < self._max_running and await asyncio.to_thread(self._claim, job_id):
                task = asyncio.create_task(self._speak_job(job_id), name=f"job {job_id}")
                self._running[job_id] = task
                task.add_done_callback(partial(self._end, job_id))

    def _claim(self, job_id: str) -> bool:
        try:
            return not self._store.is_over(job_id) and self._store.claim(job_id, self._name)
        except JobNotFound:
            return False

    def _is_old(self, job_id: str) -> bool:
        try:
            head = self._store.head(job_id)
        except JobNotFound:
            return False
        return time.time() - head.created_s > self._max_age_s

    def _end(self, job_id: str, _: "asyncio.Task[None]") -> None:
        del self._running[job_id]
        self.look()

    async def _speak_job(self, job_id: str) -> None:
        """One job to its end, as long as it is ours."""
        speaking = asyncio.create_task(self._speak_parts(job_id))
        living = asyncio.create_task(self._live(job_id))
        try:
            await asyncio.wait({speaking, living}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (speaking, living):
                task.cancel()
            await asyncio.gather(speaking, living, return_exceptions=True)
            with suppress(ServiceError):
                await asyncio.to_thread(self._store.release, job_id, self._name)

    async def _live(self, job_id: str) -> None:
        """Signs of life, until the job is another's or is not wanted any more."""
        last_s = time.monotonic()
        while time.monotonic() - last_s < LEASE_S:
            await asyncio.sleep(LEASE_S / 10)
            with suppress(StorageFailed, StorageFull):
                if not await asyncio.to_thread(self._store.renew, job_id, self._name):
                    return
                last_s = time.monotonic()
                if await asyncio.to_thread(self._store.is_cancelled, job_id):
                    return

    async def _speak_parts(self, job_id: str) -> None:
        outcome = "failed"
        try:
            head, work = await asyncio.to_thread(lambda: (self._store.head(job_id), self._store.work(job_id)))
            for index in await asyncio.to_thread(self._store.missing, head):
                if await asyncio.to_thread(self._store.is_cancelled, job_id):
                    outcome = "cancelled"
                    return
                await self._speak_part(head, work, index)
            outcome = "done"
        except ServiceError as error:
            await self._fail(job_id, error.message)
        except asyncio.CancelledError:
            outcome = "left"
            raise
        except Exception:
            logger.exception("job %s failed in a way that nobody foresaw", job_id)
            await self._fail(job_id, "It failed unexpectedly; the service's log says why.")
        finally:
            self._metrics.add(metrics.JOBS, outcome=outcome)
            logger.info("job %s: %s", job_id, outcome)

    async def _fail(self, job_id: str, message: str) -> None:
        with suppress(ServiceError):
            await asyncio.to_thread(self._store.fail, job_id, message)

    async def _speak_part(self, head: JobHead, work: JobWork, index: int) -> None:
        """Until it is spoken and kept. Raises a `ServiceError` that names the item where that cannot be."""
        num_failures = num_tries = 0
        item = work.items[head.parts[index].item_index]
        while True:
            try:
                samples, spoken = await self._spoken(head, work, index)
                await asyncio.to_thread(self._store.write_part, head.id, index, samples, spoken)
                self._metrics.add(metrics.JOB_PARTS)
                return
            except (Overloaded, Unavailable, EngineFailed, StorageFull) as error:
                logger.info("job %s waits: %s", head.id, error.message)
            except SynthesisFailed as error:
                num_failures += 1
                if num_failures == MAX_FAILURES:
                    raise SynthesisFailed(f"item {item.id}: {error.message}") from error
            except RequestError as error:
                raise RequestError(f"item {item.id}: {error.message}") from error
            num_tries += 1
            await asyncio.sleep(min(MAX_WAIT_S, 0.5 * 2.0**num_tries))

    async def _spoken(self, head: JobHead, work: JobWork, index: int) -> tuple[Samples, SpokenPart]:
        part = head.parts[index]
        turn = work.items[part.item_index].turn
        text = turn.text[part.start : part.start + part.num_chars]
        request = SpeechRequest(
            (replace(turn, text=text),),
            part_seed(work.seed, index),
            work.sampling,
            work.guards,
            is_streaming=False,
            model=work.model,
        )
        pieces: list[Samples] = []
        summary = None
        async with aclosing(cast(AsyncGenerator[AudioChunk], self._backend.stream(request))) as chunks:
            async for chunk in chunks:
                pieces.append(chunk.samples)
                summary = chunk.summary
        if summary is None:
            raise EngineFailed("the speech ended before its last sample")
        return np.concatenate(pieces), SpokenPart(summary.duration_s, summary.sentences, summary.warnings)
