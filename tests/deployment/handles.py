"""A handle of the engine deployment that does as it is told."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from types import SimpleNamespace
from typing import Any

import numpy as np
from ray.exceptions import RayActorError
from ray.serve import context as serve_context
from ray.serve.exceptions import BackPressureError

from serve_app.deployment.backend import EngineBackend
from serve_app.errors import ModelUnavailable, ServiceError
from serve_app.speech.request import AudioChunk, ServiceStatus, SpeechRequest, one_turn

REQUEST = one_turn("Hello", "en")
CHUNKS = [AudioChunk(np.full(4, value, dtype=np.float32), 0, 0) for value in (1.0, 2.0)]
Item = AudioChunk | ServiceError | Exception


class Answer:
    """A response of Ray: its items, where an exception is raised."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.is_cancelled = False

    async def __aiter__(self) -> AsyncGenerator[Any]:
        for item in self.items:
            if isinstance(item, Exception) and not isinstance(item, ServiceError):
                raise item
            yield item

    def cancel(self) -> None:
        self.is_cancelled = True


class Reply:
    """A response of Ray with one value, which goes on being made whether it is awaited or not."""

    def __init__(self, making: Coroutine[Any, Any, Any]) -> None:
        self._task = asyncio.get_running_loop().create_task(making)
        self.is_cancelled = False

    def __await__(self) -> Generator[Any, None, Any]:
        return asyncio.shield(self._task).__await__()

    def cancel(self) -> None:
        self.is_cancelled = True
        self._task.cancel()


class Handle:
    """Gives one answer after another."""

    def __init__(self, *answers: list[Item]) -> None:
        self.answers = [Answer(items) for items in answers]
        self.num_asked = self.num_asked_status = 0
        self.model_ids: list[str] = []  # that requests were sent with
        self.num_sick = 0  # replicas asked first that say they are not ready
        self.num_lost = 0  # replicas asked first how they are that are lost
        self.hangs = False  # too busy to say how it is
        self.delay_s = 0.0  # of what it says of itself
        self.replies: list[Reply] = []
        self.asked_for: list[tuple[str, str]] = []  # the request of each call, in Serve's logs and to cancel
        self.max_questions = 100  # at once: more are dropped by Ray
        self._num_questions = 0
        self.stream = SimpleNamespace(remote=self._stream)
        self.status = SimpleNamespace(remote=self._ask_status)

    def options(self, **options: Any) -> "Handle":
        self.model_ids += [options["multiplexed_model_id"]] if "multiplexed_model_id" in options else []
        return self

    def _stream(self, request: SpeechRequest) -> Answer:
        assert request.turns == REQUEST.turns
        self.num_asked += 1
        self._note_request()
        return self.answers[self.num_asked - 1]

    def _note_request(self) -> None:
        context = serve_context._get_serve_request_context()
        self.asked_for.append((context.request_id, context._internal_request_id))

    def _reply(self, making: Coroutine[Any, Any, Any]) -> Reply:
        self._note_request()
        self.replies.append(Reply(making))
        return self.replies[-1]

    def prepares(self, prepare: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self.prepare_voice = SimpleNamespace(remote=lambda *given: self._reply(prepare(*given)))

    def _ask_status(self, model: str | None = None) -> Reply:
        return self._reply(self._status(model))

    async def _status(self, model: str | None = None) -> Any:
        self.num_asked_status += 1
        if self.num_asked_status <= self.num_lost:
            raise RayActorError
        if model == "damaged":
            return ModelUnavailable("it cannot be loaded", retry_after_s=60.0)
        if self._num_questions >= self.max_questions:
            raise BackPressureError(num_queued_requests=4, max_queued_requests=4)
        self._num_questions += 1
        await asyncio.sleep(60.0 if self.hangs else self.delay_s)
        self._num_questions -= 1
        return ServiceStatus(self.num_asked_status > self.num_sick, model or "fake", "cpu", ("en",))


def heard(handle: Handle) -> list[float]:
    """The first sample of each chunk of a request."""

    async def listen() -> list[float]:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        return [float(chunk.samples[0]) async for chunk in backend.stream(REQUEST)]

    return asyncio.run(listen())
