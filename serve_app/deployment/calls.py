"""Calls of a handle of the engine deployment: made apart from the request that asks, with Ray's errors as ours."""

import asyncio
import contextvars
import logging
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import grpc
from ray.exceptions import RayError, RayTaskError, TaskCancelledError
from ray.serve.context import _get_serve_request_context, _serve_request_context
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentResponse, DeploymentResponseGenerator

from serve_app.deployment.gone import ReplicaLost
from serve_app.errors import Overloaded, ServiceError

logger = logging.getLogger(__name__)

BUSY_RETRY_AFTER_S = 2.0

P = ParamSpec("P")
T = TypeVar("T")


def called_apart(remote: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """A handle's answer, of a call that Serve does not cancel with the current request; the rest of the request's
    context, such as its id in Serve's logs, goes along.

    Serve cancels the calls of a request whose client leaves, and does so before that request's own task learns of it:
    there it looks like a lost replica, and a question that others wait for ends with who asked it first. So who calls
    cancels the answer it no longer wants.
    """

    def call() -> T:
        known = _get_serve_request_context()
        apart = replace(known, _internal_request_id=uuid.uuid4().hex)
        _serve_request_context.set(apart)  # type: ignore[arg-type]  # Serve leaves its type out
        return remote(*args, **kwargs)

    return contextvars.copy_context().run(call)


@contextmanager
def cancelled_if_left(answer: DeploymentResponse[Any] | DeploymentResponseGenerator[Any]) -> Generator[None]:
    """Cancels the answer where what is done with it ends early."""
    try:
        yield
    except BaseException:
        answer.cancel()  # type: ignore[no-untyped-call]
        raise


@contextmanager
def ray_errors_as_ours() -> Generator[None]:
    """A replica's `ServiceError` arrives as itself; a lost replica is `ReplicaLost`, a full queue `Overloaded`."""
    try:
        yield
    except BackPressureError as error:
        message = "All engine replicas are busy and their queue is full; try again."
        raise Overloaded(message, retry_after_s=error.retry_after_s or BUSY_RETRY_AFTER_S) from None
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


def _lost(error: Exception | None) -> ReplicaLost:
    logger.warning("lost an engine replica: %s", type(error).__name__ if error else "its task was cancelled")
    return ReplicaLost()
