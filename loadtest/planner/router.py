"""Serve's router: the less busy of two replicas chosen at random; where both are full, a bounded queue and a retry
that comes later and later. Constants and order are those of `ray.serve._private.request_router` (Ray 2.60).

Two things are simpler than there: queue lengths are always fresh, and all ingress replicas share one queue, as long as
theirs together.
"""

from collections import deque
from collections.abc import Callable
from random import Random

from loadtest.planner.events import Events
from loadtest.planner.fleet import Replica
from loadtest.planner.request import Ending, Request

INITIAL_BACKOFF_S, BACKOFF_MULTIPLIER, MAX_BACKOFF_S = 0.025, 2, 0.5
MAX_TASKS = 50  # that look for a replica at once; and never more than two a replica

OnEnd = Callable[[Request, Ending], None]


class Router:
    """`replicas` is the live list of those that take requests. An assigned request counts there until it is over."""

    def __init__(
        self,
        events: Events,
        replicas: list[Replica],
        *,
        max_ongoing: int,
        max_queued: int,
        timeout_s: float,
        rng: Random,
        on_end: OnEnd,
    ) -> None:
        self._events, self._replicas, self._rng, self._on_end = events, replicas, rng, on_end
        self._max_ongoing, self._max_queued, self._timeout_s = max_ongoing, max_queued, timeout_s
        self._queue: deque[Request] = deque()
        self._num_tasks = 0

    @property
    def num_queued(self) -> int:
        return len(self._queue)

    def route(self, request: Request) -> None:
        """To a replica, into the queue, or refused."""
        if len(self._queue) >= self._max_queued:
            self._on_end(request, Ending.REFUSED)
            return
        self._queue.append(request)
        if self._num_tasks < min(MAX_TASKS, max(1, 2 * len(self._replicas))):
            self._num_tasks += 1
            self._work(0)

    def route_again(self, request: Request) -> None:
        """A request whose replica died before anyone heard of it: first in the queue, which does not refuse it."""
        self._queue.appendleft(request)
        self._num_tasks += 1
        self._work(0)

    def choose(self) -> Replica | None:
        """The less busy of two, if it has room."""
        replicas = self._replicas
        number = len(replicas)
        if number < 2:
            best = replicas[0] if replicas else None
        else:
            first = int(self._rng.random() * number)
            second = int(self._rng.random() * (number - 1))
            one, other = replicas[first], replicas[second + (second >= first)]
            best = one if len(one.requests) <= len(other.requests) else other
        return best if best is not None and len(best.requests) < self._max_ongoing else None

    def _work(self, attempt: int) -> None:
        """A task: serves the queue's head as long as it finds room, and ends when nobody waits."""
        while self._queue:
            if self._events.now_s - self._queue[0].sent_s > self._timeout_s:
                self._on_end(self._queue.popleft(), Ending.LATE)
                continue
            replica = self.choose()
            if replica is None:
                backoff_s = min(INITIAL_BACKOFF_S * BACKOFF_MULTIPLIER ** min(attempt, 10), MAX_BACKOFF_S)
                self._events.at(self._events.now_s + backoff_s, self._work, attempt + 1)
                return
            attempt = 0
            replica.take(self._queue.popleft())
        self._num_tasks -= 1
