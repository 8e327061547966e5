"""Whether an engine replica is there and how it is, asked once for all who wait for the answer."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, cast

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle, DeploymentResponse

from serve_app.deployment.calls import BUSY_RETRY_AFTER_S, called_apart, ray_errors_as_ours
from serve_app.deployment.gone import GONE_RETRY_AFTER_S, ReplicaLost
from serve_app.errors import Overloaded, ServiceError, Unavailable
from serve_app.speech.request import ServiceStatus

ENGINE_NAME = "Engine"
STATUS_TIMEOUT_S = 2.0
STATUS_TRIES = 3
LOSS_UNNOTICED_S = 30.0  # Serve's controller counts a dead replica among the running ones, a dead node's the longest


class Silent(Overloaded):
    """An engine runs and is too busy to say how it is: a question waits in the same queue as speech."""


class EnginePresence:
    """What one ingress replica knows of the engine deployment."""

    def __init__(self, engine: DeploymentHandle[Any]) -> None:
        self._engine = engine
        self._is_known = False  # one has answered since the start and since the last loss
        self._lost_s = -LOSS_UNNOTICED_S
        self._last_status: ServiceStatus | None = None
        self._questions: dict[str | None, asyncio.Task[ServiceStatus]] = {}  # of each model
        self._count: asyncio.Task[int] | None = None

    async def wait_for_one(self) -> None:
        """Returns where a replica is known to be there, and asks where none was met yet or one was lost: nobody queues
        for an engine that is minutes away.

        Raises `Unavailable` where no engine runs, `Overloaded` where the queue of those that run is full.
        """
        if not self._is_known:
            with suppress(Silent):
                await self._fresh()

    def note_loss(self) -> None:
        """Of a replica, as whoever called it met it."""
        self._is_known, self._lost_s = False, time.monotonic()

    async def status(self, model: str | None = None) -> ServiceStatus:
        """As a replica says. Where all are too busy to answer, what they said last: only a busy engine is ready.

        Raises `Unavailable` where no engine runs or the model cannot be loaded, `ModelNotFound`, and `Overloaded` where
        they are busy and have said nothing yet.
        """
        if model is not None:
            return await self._shared(model, partial(self._ask_of, model))
        try:
            return await self._fresh()
        except Overloaded:
            if self._last_status is None:
                raise
            return self._last_status

    async def _fresh(self) -> ServiceStatus:
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
            with ray_errors_as_ours():
                status = await asyncio.wait_for(self._ask_ready_one(), STATUS_TIMEOUT_S)
        except ReplicaLost:
            self.note_loss()
            raise
        except (Overloaded, TimeoutError) as silence:
            if not await self._is_one_running():
                self._is_known = False
                message = "No engine replica answers yet; watch /health/ready and try again."
                raise Unavailable(message, retry_after_s=GONE_RETRY_AFTER_S) from None
            if isinstance(silence, Overloaded):
                raise
            raise _silent() from None
        self._is_known, self._last_status = True, status
        return status

    async def _is_one_running(self) -> bool:
        """As Serve's controller counts them, soon after a loss without one that may be the lost one. Where it does not
        answer either, as was known."""
        if self._count is None or self._count.done():  # one at a time: each holds a thread for as long as it takes
            self._count = asyncio.create_task(asyncio.to_thread(_num_engines_running), name="how many engines run")
            self._count.add_done_callback(_saw_failure)
        try:
            num_running = await asyncio.wait_for(asyncio.shield(self._count), STATUS_TIMEOUT_S)
        except (TimeoutError, RayError, RayServeException):
            return self._is_known
        return num_running > int(time.monotonic() - self._lost_s < LOSS_UNNOTICED_S)

    async def _ask_ready_one(self) -> ServiceStatus:
        """One replica among several may be sick, and about to end: that makes the service no less ready."""
        for _ in range(STATUS_TRIES - 1):
            with suppress(RayError):
                status = await self._ask_status()
                if status.is_ready:
                    return status
        return await self._ask_status()

    async def _ask_of(self, model: str) -> ServiceStatus:
        try:
            with ray_errors_as_ours():
                return await asyncio.wait_for(self._ask_status(model), STATUS_TIMEOUT_S)
        except TimeoutError:
            raise _silent() from None

    async def _ask_status(self, model: str | None = None) -> ServiceStatus:
        answers = DeploymentResponse[ServiceStatus | ServiceError]
        answer = await cast(answers, called_apart(self._engine.status.remote, model))
        if isinstance(answer, ServiceError):
            raise answer
        return answer


def _silent() -> Silent:
    message = "All engine replicas are too busy to answer; try again."
    return Silent(message, retry_after_s=BUSY_RETRY_AFTER_S)


def _saw_failure(question: asyncio.Task[Any]) -> None:
    """Where every waiter has left, it is nobody's, and asyncio would complain."""
    if not question.cancelled():
        question.exception()


def _num_engines_running() -> int:
    """As Serve's controller sees it, from inside a replica of the application."""
    application = serve.status().applications.get(serve.get_replica_context().app_name)
    engine = application.deployments.get(ENGINE_NAME) if application is not None else None
    return sum(n for state, n in engine.replica_states.items() if state == "RUNNING") if engine is not None else 0
