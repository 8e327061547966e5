"""What an ingress replica speaks to: a handle of the engine deployment, with Ray's errors as ours."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from typing import Any, cast

import grpc
from ray import serve
from ray.exceptions import RayError, RayTaskError, TaskCancelledError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator

from serve_app.audio.pcm import Recording
from serve_app.deployment.affinity import model_id
from serve_app.deployment.environment import is_grpc
from serve_app.deployment.replica import LOST_MESSAGE, LOST_RETRY_AFTER_S
from serve_app.errors import ModelUnavailable, Overloaded, ServiceError, Unavailable
from serve_app.speech.request import AudioChunk, ServiceStatus, SpeechRequest
from serve_app.voices.info import PreparedVoice

logger = logging.getLogger(__name__)

ENGINE_NAME = "Engine"
STATUS_TIMEOUT_S = 2.0
STATUS_TRIES = 3
OVERLOAD_RETRY_AFTER_S = 2.0


class _ReplicaLost(Unavailable):
    """Ray's word for it, not the replica's own: the request did nothing to it that we know of."""


class EngineBackend:
    """The seam over a handle of the engine deployment. Ray's errors leave it as ours."""

    def __init__(self, engine: DeploymentHandle[Any], *, has_several_models: bool = False) -> None:
        engine = engine.options(_by_reference=not is_grpc())
        self._engine, self._has_several_models = engine, has_several_models
        self._streaming_engine = engine.options(stream=True)
        self._last_status: ServiceStatus | None = None
        self._has_lost_one = False
        self._questions: dict[str | None, asyncio.Task[ServiceStatus]] = {}  # of each model

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        """A request whose replica is lost before its first chunk goes to another one, once: a replica that ended is
        chosen until the router knows."""
        if self._last_status is None:  # none was met yet, or one was lost: never queue for an engine minutes away
            await self._meet_an_engine()
        has_begun = False
        try:
            async with aclosing(self._chunks(request)) as chunks:
                async for chunk in chunks:
                    has_begun = True
                    yield chunk
            return
        except ModelUnavailable:
            raise  # the engine is there
        except Unavailable as error:
            self._last_status, self._has_lost_one = None, True
            if has_begun or not isinstance(error, _ReplicaLost):
                raise
        logger.warning("a request that had sent nothing goes to another engine replica")
        await self._meet_an_engine()
        async with aclosing(self._chunks(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _meet_an_engine(self) -> None:
        """Raises `Unavailable` where no engine runs, `Overloaded` where those that run are too busy to answer.

        After a loss silence is the loss's: Serve's controller calls a dead replica running for a while.
        """
        try:
            await self._fresh_status()
        except TimeoutError:
            is_busy = not self._has_lost_one and await asyncio.to_thread(_is_an_engine_running)
            raise (_all_busy(None) if is_busy else _no_answer()) from None

    async def _chunks(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        with _ray_errors_as_ours():
            items = DeploymentResponseGenerator[AudioChunk | ServiceError]
            response = cast(items, self._engine_for(request.model, self._streaming_engine).stream.remote(request))
            is_finished = False
            try:
                async for item in response:
                    if isinstance(item, ServiceError):
                        raise item
                    yield item
                is_finished = True
            finally:
                if not is_finished:
                    response.cancel()  # type: ignore[no-untyped-call]

    async def prepare_voice(self, recordings: Sequence[Recording], *, is_style: bool) -> PreparedVoice:
        """Asked a second time where its replica is lost: nothing of it is seen before it is done."""
        if self._last_status is None:
            await self._meet_an_engine()
        try:
            return await self._prepare(recordings, is_style)
        except _ReplicaLost:
            self._last_status, self._has_lost_one = None, True
        await self._meet_an_engine()
        return await self._prepare(recordings, is_style)

    async def _prepare(self, recordings: Sequence[Recording], is_style: bool) -> PreparedVoice:
        with _ray_errors_as_ours():
            answers = DeploymentResponse[PreparedVoice | ServiceError]
            answer = await cast(
                answers, self._engine_for(None, self._engine).prepare_voice.remote(list(recordings), is_style)
            )
        if isinstance(answer, ServiceError):
            raise answer
        return answer

    def _engine_for(self, model: str | None, engine: DeploymentHandle[Any]) -> DeploymentHandle[Any]:
        """Where the model is loaded already, if there is room; a single one is everywhere."""
        return engine.options(multiplexed_model_id=model_id(model)) if self._has_several_models else engine

    async def status(self, model: str | None = None) -> ServiceStatus:
        """As a replica says. Where all are too busy to answer, what they said last: only a busy engine is ready.

        Raises `Unavailable` where no engine runs or the model cannot be loaded, `ModelNotFound`, and `Overloaded` where
        they are busy and have said nothing yet.
        """
        if model is not None:
            return await self._status_of(model)
        try:
            return await self._fresh_status()
        except (Overloaded, TimeoutError):
            if not await asyncio.to_thread(_is_an_engine_running):
                self._last_status = None
                raise _no_answer() from None
            if self._last_status is None:
                raise (_no_answer() if self._has_lost_one else _all_busy(None)) from None
            return self._last_status

    async def _status_of(self, model: str) -> ServiceStatus:
        try:
            return await self._shared(model, partial(self._ask_of, model))
        except TimeoutError:
            raise _all_busy(None) from None

    async def _fresh_status(self) -> ServiceStatus:
        return await self._shared(None, self._ask)

    async def _shared(self, model: str | None, ask: Callable[[], Coroutine[Any, Any, ServiceStatus]]) -> ServiceStatus:
        """One question for all who wait for its answer: many would fill the queue that they ask about."""
        question = self._questions.get(model)
        if question is None or question.done():
            question = self._questions[model] = asyncio.create_task(ask(), name="how is the engine")
            question.add_done_callback(_saw_failure)
        return await asyncio.shield(question)

    async def _ask(self) -> ServiceStatus:
        """What is known stays until an answer or a loss: others ask meanwhile."""
        try:
            with _ray_errors_as_ours():
                status = await asyncio.wait_for(self._ask_ready_one(), STATUS_TIMEOUT_S)
        except Unavailable:
            self._last_status = None
            raise
        self._last_status, self._has_lost_one = status, False
        return status

    async def _ask_ready_one(self) -> ServiceStatus:
        """One replica among several may be sick, and about to end: that makes the service no less ready."""
        for _ in range(STATUS_TRIES - 1):
            with suppress(RayError):
                status = await self._ask_status()
                if status.is_ready:
                    return status
        return await self._ask_status()

    async def _ask_of(self, model: str) -> ServiceStatus:
        with _ray_errors_as_ours():
            return await asyncio.wait_for(self._ask_status(model), STATUS_TIMEOUT_S)

    async def _ask_status(self, model: str | None = None) -> ServiceStatus:
        answers = DeploymentResponse[ServiceStatus | ServiceError]
        answer = await cast(answers, self._engine.status.remote(model))
        if isinstance(answer, ServiceError):
            raise answer
        return answer


def _saw_failure(question: asyncio.Task[ServiceStatus]) -> None:
    """Where every waiter has left, it is nobody's, and asyncio would complain."""
    if not question.cancelled():
        question.exception()


def _all_busy(retry_after_s: float | None) -> Overloaded:
    message = "All engine replicas are busy and their queue is full; try again."
    return Overloaded(message, retry_after_s=retry_after_s or OVERLOAD_RETRY_AFTER_S)


def _no_answer() -> Unavailable:
    message = "No engine replica answers yet; watch /health/ready and try again."
    return Unavailable(message, retry_after_s=LOST_RETRY_AFTER_S)


def _is_an_engine_running() -> bool:
    """As Serve's controller sees it, from inside a replica of the application."""
    application = serve.status().applications.get(serve.get_replica_context().app_name)
    engine = application.deployments.get(ENGINE_NAME) if application is not None else None
    return engine is not None and any(state == "RUNNING" and n for state, n in engine.replica_states.items())


@contextmanager
def _ray_errors_as_ours() -> Generator[None]:
    """A replica's `ServiceError` arrives as itself; a lost replica is `Unavailable`, a full queue `Overloaded`."""
    try:
        yield
    except BackPressureError as error:
        raise _all_busy(error.retry_after_s) from None
    except RayTaskError as error:
        if isinstance(error.cause, ServiceError):
            raise error.cause from None
        if isinstance(error.cause, TaskCancelledError):
            raise _lost(error) from error
        logger.exception("an engine replica raised an error that is not ours")
        raise ServiceError("The service failed unexpectedly; its operator finds the cause in the log.") from error
    except (RayError, RayServeException, grpc.RpcError) as error:
        raise _lost(error) from error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # this request's own end
        raise _lost(None) from None


def _lost(error: Exception | None) -> _ReplicaLost:
    logger.warning("lost an engine replica: %s", type(error).__name__ if error else "its task was cancelled")
    return _ReplicaLost(LOST_MESSAGE, retry_after_s=LOST_RETRY_AFTER_S)
