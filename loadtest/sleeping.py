"""`python -m loadtest.sleeping PLAN`: the application on a Ray of its own, whose engines sleep and do not compute.

Everything but the model is real: ingress, handles, queues, engine replicas. GPUs are made up, one a replica.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serve_app import logs
from serve_app.audio.pcm import Recording
from serve_app.errors import ServiceError
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.model.config import SAMPLE_RATE_HZ
from serve_app.settings import Settings, make_settings
from serve_app.speech.request import AudioChunk, ServiceLoad, ServiceStatus, SpeechRequest, SpeechSummary
from serve_app.voices.info import PreparedVoice

PLAN_VARIABLE = "SLEEPING_PLAN"  # the plan as JSON, in the environment of all that this process starts
CHUNK_S = 0.5  # of audio
AMPLITUDE = 0.25


@dataclass(frozen=True)
class Plan:
    """What an engine sleeps for each request: until its first audio, and between chunks of half a second."""

    first_s: float = 0.5
    period_s: float = 1.0
    num_chunks: int = 8

    @property
    def service_s(self) -> float:
        return self.due_s(self.num_chunks - 1)

    @property
    def audio_s(self) -> float:
        return self.num_chunks * CHUNK_S

    def due_s(self, index: int) -> float:
        """When a chunk leaves, after the request's slot was free."""
        return self.first_s + index * self.period_s


class SleepingService:
    """A `LoadedService` with so many slots. A chunk leaves when it is due, however late the one before was."""

    num_bytes = 1

    def __init__(self, num_slots: int, plan: Plan) -> None:
        self._num_slots, self._plan, self._num_open = num_slots, plan, 0
        self._slots: asyncio.Semaphore | None = None  # of the loop that streams

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        self._slots = self._slots or asyncio.Semaphore(self._num_slots)
        self._num_open += 1
        try:
            async with self._slots:
                started_s = time.monotonic()
                for index in range(self._plan.num_chunks):
                    await asyncio.sleep(started_s + self._plan.due_s(index) - time.monotonic())
                    yield self._chunk(index)
        finally:
            self._num_open -= 1

    def _chunk(self, index: int) -> AudioChunk:
        num_samples = round(CHUNK_S * SAMPLE_RATE_HZ)
        is_last = index == self._plan.num_chunks - 1
        summary = SpeechSummary(self._plan.audio_s, 1, 1, (), 0, {}) if is_last else None
        return AudioChunk(np.full(num_samples, AMPLITUDE, np.float32), index * num_samples, 0, summary)

    async def status(self, model: str | None = None) -> ServiceStatus:
        return ServiceStatus(True, "sleeping", "cpu", ("en",))

    async def prepare_voice(self, recordings: Sequence[Recording], *, is_style: bool) -> PreparedVoice:
        raise ServiceError("engines that sleep know no voices")

    def load_now(self) -> ServiceLoad:
        return ServiceLoad(self._num_slots, self._num_open, 0.0)

    def check_health(self) -> None:
        """It is well."""

    async def drain(self) -> None:
        while self._num_open:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.05)

    def close(self) -> None:
        """There is nothing to free."""


def load_sleeping(
    settings: Settings, progress: Callable[[str], None], recorder: Metrics = NOT_RECORDED
) -> SleepingService:
    plan = Plan(**json.loads(os.environ[PLAN_VARIABLE]))
    return SleepingService(settings.num_slots(is_gpu=True), plan)


def main() -> None:
    """Serves until SIGTERM, as `python -m serve_app serve` does, with its settings."""
    settings = make_settings()
    logs.configure(settings.log_format)
    os.environ[PLAN_VARIABLE] = sys.argv[1]
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])  # where replicas find this module
    os.environ["RAY_OVERRIDE_RESOURCES"] = json.dumps({"GPU": settings.min_engine_replicas})
    from loadtest import sleeping  # by its module's name, as replicas know it, not by `__main__`'s
    from serve_app.deployment.own_cluster import run_serve  # after the environment that it hands on

    run_serve(settings, sleeping.load_sleeping)


if __name__ == "__main__":
    main()
