"""Fake services of several models for the tests on Ray: each speaks as loud as its model, and tells its process."""

import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from serve_app.errors import CheckpointError
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.settings import Settings
from serve_app.speech.request import AudioChunk, ServiceStatus, SpeechRequest
from tests.fakes import FakeService

GAIN = {"base": 1.0, "synthetic:tiny": 0.5, "synthetic:tiny:2": 0.25, "synthetic:tiny:3": 0.125}
EXTRA = {"anna": "synthetic:tiny", "ben": "synthetic:tiny:2", "cora": "synthetic:tiny:3", "broken": "synthetic:tiny:4"}
CHUNK_DELAY_S = 0.02


class ModelService(FakeService):
    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source
        self.configure(chunk_delay_s=CHUNK_DELAY_S)

    async def status(self, model: str | None = None) -> ServiceStatus:
        return replace(await super().status(), model=self._source)

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        async for chunk in super().stream(request):
            assert self.is_healthy, "it was closed while it spoke"
            summary = chunk.summary and replace(chunk.summary, warnings=(f"pid {os.getpid()}",))
            yield replace(chunk, samples=chunk.samples * GAIN[self._source], summary=summary)


def load_model(settings: Settings, progress: Callable[[str], None], recorder: Metrics = NOT_RECORDED) -> ModelService:
    if settings.model not in GAIN:
        raise CheckpointError("this is no checkpoint")
    return ModelService(settings.model)
