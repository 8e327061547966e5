"""The application of the cluster's tests: real ingress, real handles, a service that is slow and knows its version.

`model` is the version: version `two` speaks half as loud, so that a listener can tell who spoke.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

from ray import serve

from serve_app.deployment.application import build_application
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.settings import Settings, make_settings
from serve_app.speech.request import AudioChunk, ServiceStatus, SpeechRequest
from tests.fakes import FakeService

GAIN = {"one": 1.0, "two": 0.5}
CHUNK_DELAY_S = 0.05


class VersionedService(FakeService):
    def __init__(self, version: str) -> None:
        super().__init__()
        self._version = version
        self.configure(chunk_delay_s=CHUNK_DELAY_S)

    async def status(self, model: str | None = None) -> ServiceStatus:
        return replace(await super().status(), model=self._version)

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        async for chunk in super().stream(request):
            yield replace(chunk, samples=chunk.samples * GAIN[self._version])


def load_versioned(
    settings: Settings, progress: Callable[[str], None], recorder: Metrics = NOT_RECORDED
) -> VersionedService:
    return VersionedService(settings.model)


def build_app(args: dict[str, Any]) -> serve.Application:
    return build_application(make_settings(**args), load_versioned)
