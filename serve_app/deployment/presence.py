"""Whether an engine replica is there and how it is, asked once for all who wait for the answer."""

import asyncio
import math
import time
from contextlib import suppress
from typing import Any, cast

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle, DeploymentResponse

from serve_app.deployment.calls import BUSY_RETRY_AFTER_S, called_apart, cancelled_if_left, ray_errors_as_ours
from serve_app.deployment.gone import GONE_RETRY_AFTER_S, ReplicaLost
from serve_app.errors import Overloaded, ServiceError, Unavailable
from serve_app.speech.request import ServiceStatus

ENGINE_NAME = "Engine"
STATUS_TRIES = 3
SILENCE_S = 2.0  # without an answer: the engine is busy, or gone
FIRST_ANSWER_TIMEOUT_S = 30.0  # for what nothing is known of yet
QUESTION_TIMEOUT_S = 60.0  # its place in a busy engine's queue is kept for as long
CONTROLLER_TIMEOUT_S = 10.0
LOSS_UNNOTICED_S = 60.0  # Serve's controller counts a dead replica among those that speak, a dead node's the longest
SPEAKING_STATES = frozenset({"RUNNING", "UPDATING", "RECOVERING", "PENDING_MIGRATION"})


class Silent(Overloaded):
    """An engine runs and is too busy to say how it is: a question waits in the same queue as speech."""


class EnginePresence:
    """What one ingress replica knows of the engine deployment."""

    def __init__(self, engine: DeploymentHandle[Any]) -> None:
        self._engine = engine
        self._is_known = False  # one has answered since the start and since the last loss
        self._is_one_missing, self._lost_s = False, -math.inf  # a loss since the last answer; when the last loss was
        self._last_status: ServiceStatus | None = None  # that was ready
        self._questions: dict[str | None, asyncio.Task[ServiceStatus]] = {}  # of each model
        self._count: asyncio.Task[int] | None = None

    async def wait_for_one(self) -> None:
        """Returns where a replica is known to be there, and asks where none was met yet or one was lost: nobody queues
        for an engine that is minutes away.

        Raises `Unavailable` where no engine runs, `Overloaded` where the queue of those that run is full.
        """
        if not self._is_known:
            with suppress(Silent):
                await self._answer(None, patience_s=0.0)

    def note_answer(self) -> None:
        """A replica has answered just now."""
        self._is_known, self._is_one_missing = True, False

    def note_loss(self, asked_s: float) -> None:
        """A replica was lost that was asked at `asked_s` (`time.monotonic`): before the last loss, it is the same."""
        if asked_s >= self._lost_s:
            self._is_known, self._is_one_missing, self._lost_s = False, True, time.monotonic()
            self._questions.pop(None, None)  # which may have been the lost one's

    async def status(self, model: str | None = None) -> ServiceStatus:
        """As a replica says. Where all are too busy to answer, what they said last: only a busy engine is ready.

        Raises `Unavailable` where no engine runs or the model cannot be loaded, `ModelNotFound`, and `Overloaded` where
        they are busy and have said nothing yet.
        """
        known = self._last_status if model is None else None
        try:
            return await self._answer(model, patience_s=0.0 if known else FIRST_ANSWER_TIMEOUT_S)
        except Overloaded:
            if known is None:
                raise
            return known

    async def _answer(self, model: str | None, *, patience_s: float) -> ServiceStatus:
        """`patience_s`: of a running engine's silence. Raises as `wait_for_one`, and `Silent`."""
        question = self._question(model)
        try:
            return await asyncio.wait_for(asyncio.shield(question), SILENCE_S)
        except (Overloaded, TimeoutError) as silence:
            if not await self._is_one_running():
                self._is_known = False
                message = "No engine replica answers yet; watch /health/ready and try again."
                raise Unavailable(message, retry_after_s=GONE_RETRY_AFTER_S) from None
            if isinstance(silence, Overloaded):
                raise
        try:
            return await asyncio.wait_for(asyncio.shield(question), patience_s)
        except TimeoutError:
            message = "All engine replicas are too busy to answer; try again."
            raise Silent(message, retry_after_s=BUSY_RETRY_AFTER_S) from None

    def _question(self, model: str | None) -> asyncio.Task[ServiceStatus]:
        """One for all who wait for its answer: many would fill the queue that they ask about, and one that is asked
        anew would lose its place."""
        question = self._questions.get(model)
        if question is None or question.done():
            ask = self._ask_ready_one() if model is None else self._ask(model)
            question = self._questions[model] = asyncio.create_task(ask, name="how is the engine")
            question.add_done_callback(_saw_failure)
        return question

    async def _ask_ready_one(self) -> ServiceStatus:
        """One replica among several may be sick, and about to end: that makes the service no less ready."""
        for _ in range(STATUS_TRIES - 1):
            with suppress(ReplicaLost):
                status = await self._ask(None)
                if status.is_ready:
                    return status
        return await self._ask(None)

    async def _ask(self, model: str | None) -> ServiceStatus:
        asked_s = time.monotonic()
        try:
            with ray_errors_as_ours():
                answers = DeploymentResponse[ServiceStatus | ServiceError]
                answer = cast(answers, called_apart(self._engine.status.remote, model))
                with cancelled_if_left(answer):
                    async with asyncio.timeout(QUESTION_TIMEOUT_S):
                        status = await answer
        except ReplicaLost:
            self.note_loss(asked_s)
            raise
        if isinstance(status, ServiceError):
            raise status
        if status.is_ready:
            self.note_answer()
            if model is None:
                self._last_status = status
        return status

    async def _is_one_running(self) -> bool:
        """As Serve's controller counts them, soon after a loss without one that may be the lost one. Where it does not
        answer either, as was known."""
        if self._count is None or self._count.done():  # one at a time: each holds a thread for as long as it takes
            self._count = asyncio.create_task(asyncio.to_thread(_num_engines_running), name="how many engines run")
            self._count.add_done_callback(_saw_failure)
        try:
            timeout_s = SILENCE_S if self._is_known else CONTROLLER_TIMEOUT_S
            num_running = await asyncio.wait_for(asyncio.shield(self._count), timeout_s)
        except (TimeoutError, RayError, RayServeException):
            return self._is_known
        return num_running > int(self._is_one_missing and time.monotonic() - self._lost_s < LOSS_UNNOTICED_S)


def _saw_failure(task: asyncio.Task[Any]) -> None:
    """Where every waiter has left, it is nobody's, and asyncio would complain."""
    if not task.cancelled():
        task.exception()


def _num_engines_running() -> int:
    """That speak, as Serve's controller sees it, from inside a replica of the application."""
    application = serve.status().applications.get(serve.get_replica_context().app_name)
    engine = application.deployments.get(ENGINE_NAME) if application is not None else None
    states = engine.replica_states.items() if engine is not None else ()
    return sum(num for state, num in states if state in SPEAKING_STATES)
