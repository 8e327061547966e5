"""What a lost replica means for a request, with a handle that does as it is told."""

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.exceptions import RayActorError

from serve_app.deployment.backend import EngineBackend
from serve_app.errors import ServiceError, Unavailable
from serve_app.speech.request import AudioChunk, ServiceStatus, SpeechRequest

REQUEST = SpeechRequest("Hello", "en")
CHUNKS = [AudioChunk(np.full(4, value, dtype=np.float32), 0, 0) for value in (1.0, 2.0)]
Item = AudioChunk | ServiceError | Exception


class Answer:
    """A response of Ray: its items, where an exception is raised."""

    def __init__(self, items: list[Item]) -> None:
        self._items = items
        self.is_cancelled = False

    async def __aiter__(self) -> AsyncGenerator[Any]:
        for item in self._items:
            if isinstance(item, Exception) and not isinstance(item, ServiceError):
                raise item
            yield item

    def cancel(self) -> None:
        self.is_cancelled = True


class Handle:
    """Gives one answer after another."""

    def __init__(self, *answers: list[Item]) -> None:
        self._answers = [Answer(items) for items in answers]
        self.num_asked = self.num_asked_status = 0
        self.num_sick = 0  # replicas asked first that say they are not ready
        self.stream = SimpleNamespace(remote=self._stream)
        self.status = SimpleNamespace(remote=self._status)

    def options(self, **_: Any) -> "Handle":
        return self

    def _stream(self, request: SpeechRequest) -> Answer:
        assert request is REQUEST
        self.num_asked += 1
        return self._answers[self.num_asked - 1]

    async def _status(self) -> ServiceStatus:
        self.num_asked_status += 1
        return ServiceStatus(self.num_asked_status > self.num_sick, "fake", "cpu", ("en",))


def _heard(handle: Handle) -> list[float]:
    async def listen() -> list[float]:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        return [float(chunk.samples[0]) async for chunk in backend.stream(REQUEST)]

    return asyncio.run(listen())


def test_request_that_has_sent_nothing_goes_to_another_replica() -> None:
    handle = Handle([RayActorError()], list(CHUNKS))
    assert _heard(handle) == [1.0, 2.0]
    assert handle.num_asked == 2


@pytest.mark.parametrize(
    ("answers", "num_asked"),
    [
        ([[CHUNKS[0], RayActorError()]], 1),  # what was heard is never said again
        ([[RayActorError()], [RayActorError()]], 2),
        ([[Unavailable("its engine failed", retry_after_s=1.0)]], 1),  # this request may be what broke it
    ],
)
def test_request_is_unavailable_where_another_replica_would_not_mend_it(
    answers: list[list[Item]], num_asked: int
) -> None:
    handle = Handle(*answers)
    with pytest.raises(Unavailable) as raised:
        _heard(handle)
    assert raised.value.retry_after_s
    assert handle.num_asked == num_asked


@pytest.mark.parametrize(("num_sick", "is_ready"), [(0, True), (1, True), (2, True), (3, False)])
def test_one_sick_replica_does_not_make_the_service_unready(num_sick: int, is_ready: bool) -> None:
    handle = Handle()
    handle.num_sick = num_sick
    status = asyncio.run(EngineBackend(handle).status())  # type: ignore[arg-type]
    assert status.is_ready is is_ready
