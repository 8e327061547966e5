"""One part of a job, from its words to its file: tried again while the service or the disk cannot. Knows no lease."""

import asyncio
import logging
import time
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace

import numpy as np

from serve_app import metrics
from serve_app.audio.pcm import Recording
from serve_app.errors import (
    EmptyText,
    EngineFailed,
    Overloaded,
    RequestError,
    ServiceError,
    StorageFailed,
    StorageFull,
    Unavailable,
)
from serve_app.jobs.folder import JobFolder
from serve_app.jobs.job import Head, Item, Part, PartFacts, Sentence, State, part_request
from serve_app.metrics import Metrics
from serve_app.speech.request import AudioChunk, SpeechBackend, SpeechRequest, collect, complete

logger = logging.getLogger(__name__)

MAX_TRIES = 3  # of a part that the model fails to speak, each with another seed
UNEXPECTED = "The service failed unexpectedly; its operator finds the cause in the log."
_PASSING = (Overloaded, Unavailable, EngineFailed, StorageFull)


@dataclass(frozen=True)
class Pace:
    """How jobs are worked on. A delay doubles from the first to the longest, or is what the service asks for."""

    first_delay_s: float = 1.0
    longest_delay_s: float = 60.0
    part_timeout_s: float = 1_800.0
    num_parts_in_a_row: int = 20  # of one job, before another has its turn
    lease_s: float = 30.0  # so long after its holder's last beat a job is somebody else's
    beat_s: float = 5.0
    poll_s: float = 5.0  # between looks for something to do


@dataclass
class Work:
    """A job as it lies open before who speaks it."""

    folder: JobFolder
    head: Head
    items: tuple[Item, ...]
    texts: tuple[str, ...]
    done: set[int]
    _recordings: dict[int, Recording] = field(default_factory=dict)  # the last one that was needed

    @classmethod
    def open(cls, folder: JobFolder) -> "Work":
        """Blocks. Raises JobNotFound and StorageFailed."""
        return cls(folder, folder.head(), folder.items(), folder.texts(), folder.parts_done())

    @property
    def missing(self) -> list[int]:
        return [index for index in range(len(self.texts)) if index not in self.done]

    def item_of(self, index: int) -> Item:
        return self.items[bisect_right(self.items, index, key=lambda item: item.first_part) - 1]

    def request(self, index: int, attempt: int) -> SpeechRequest:
        """Blocks, where a recording has to be read."""
        item = self.item_of(index)
        reference = None
        if item.reference is not None:
            if item.reference not in self._recordings:
                self._recordings = {item.reference: self.folder.reference(item.reference)}
            reference = self._recordings[item.reference]
        return part_request(self.head, item.turn(self.texts[index], reference), index, attempt)


class PartSpeaker:
    """Over any `SpeechBackend`."""

    def __init__(self, backend: SpeechBackend, recorder: Metrics, pace: Pace) -> None:
        self._backend, self._recorder, self._pace = backend, recorder, pace

    async def speak(self, work: Work, index: int, state: State) -> State:
        """Speaks and keeps the part; returns the state after it, which is kept too.

        Waits as long as the service is busy or away, or the disk full. Raises the ServiceError of a part that cannot be
        spoken, and JobNotFound where the job is gone.
        """
        started_s = time.monotonic()
        part: Part | None = None
        num_failed = num_delays = 0
        while True:
            try:
                if part is None:
                    part = await self._spoken(work, index, num_failed)
                return await self._kept(work, index, part, state, time.monotonic() - started_s)
            except _PASSING as error:
                num_delays += 1
                state = await self._delayed(work, state, error, num_delays)
            except RequestError:
                raise
            except Exception as error:
                num_failed += 1
                if not isinstance(error, ServiceError):
                    logger.exception("part %d of %s met an error that is not ours", index, work.head.id)
                if num_failed == MAX_TRIES:
                    raise (error if isinstance(error, ServiceError) else ServiceError(UNEXPECTED)) from error
                logger.warning("part %d of %s is tried again: %s", index, work.head.id, error)

    async def _spoken(self, work: Work, index: int, attempt: int) -> Part:
        request = await asyncio.to_thread(work.request, index, attempt)
        try:
            async with asyncio.timeout(self._pace.part_timeout_s), _closing(self._backend.stream(request)) as chunks:
                samples, summary = await collect(complete(chunks))
        except TimeoutError:
            raise Unavailable("The engine did not end a part in time.") from None
        except EmptyText as error:  # a line of stars between chapters
            if work.item_of(index).num_parts == 1:
                raise
            return Part(np.zeros(0, np.float32), PartFacts(0, warnings=(f"Not read aloud: {error.message}",)))
        sentences = tuple(Sentence(each.text, each.start_s, each.end_s) for each in summary.sentences)
        return Part(samples, PartFacts(len(samples), sentences, summary.warnings))

    async def _kept(self, work: Work, index: int, part: Part, state: State, work_s: float) -> State:
        rate_hz = work.head.sample_rate_hz
        await asyncio.to_thread(work.folder.write_part, index, part, rate_hz)
        facts = part.facts
        state = state.with_part(len(work.texts[index]), facts.num_samples / rate_hz, work_s, facts.warnings)
        await asyncio.to_thread(work.folder.write_state, state)
        self._recorder.add(metrics.JOB_PARTS, outcome="spoken")
        return state

    async def _delayed(self, work: Work, state: State, error: ServiceError, num_delays: int) -> State:
        self._recorder.add(metrics.JOB_PARTS, outcome="delayed")
        delay_s = min(self._pace.longest_delay_s, self._pace.first_delay_s * 2 ** min(num_delays - 1, 30))
        if error.retry_after_s is not None:
            delay_s = max(delay_s, min(error.retry_after_s, self._pace.longest_delay_s))
        if state.waiting_for != error.message:
            logger.info("the job %s waits: %s", work.head.id, error.message)
            state = replace(state, waiting_for=error.message)
            with suppress(StorageFailed, StorageFull):  # it is a word for a person, who may do without
                await asyncio.to_thread(work.folder.write_state, state)
        await asyncio.sleep(delay_s)
        return state


def _closing(chunks: AsyncIterator[AudioChunk]) -> "aclosing[AsyncGenerator[AudioChunk]]":
    assert isinstance(chunks, AsyncGenerator), "a backend's stream can be closed early"
    return aclosing(chunks)
