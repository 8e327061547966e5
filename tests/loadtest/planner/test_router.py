"""Power of two choices, the bounded queue, and the retries of Serve's router."""

from random import Random

import pytest
from ray.serve._private import constants
from ray.serve._private.request_router.request_router import RequestRouter

from loadtest.planner import router
from loadtest.planner.events import Events
from loadtest.planner.fleet import Fleet
from loadtest.planner.request import Ending, Request
from loadtest.planner.router import Router
from tests.loadtest.planner.examples import plain


class Desk:
    """A router before a fleet of plain replicas."""

    def __init__(self, replicas: int, max_ongoing: int, max_queued: int, timeout_s: float = 120.0) -> None:
        self.events, self.ends = Events(), []
        self.fleet = Fleet(plain(2, 0.1), self.events, self._on_end, lambda _: None, 0.0, 0.0)
        self.router = Router(
            self.events,
            self.fleet.running,
            max_ongoing=max_ongoing,
            max_queued=max_queued,
            timeout_s=timeout_s,
            rng=Random(1),
            on_end=self._on_end,
        )
        self.fleet.begin(replicas)

    ends: list[tuple[Ending, float]]

    def _on_end(self, request: Request, ending: Ending) -> None:
        self.ends.append((ending, self.events.now_s))

    def send(self, number: int, codes: int = 20) -> None:
        for _ in range(number):
            self.router.route(Request(self.events.now_s, (1, codes, 40), is_cold=False, is_streamed=False))


def test_constants_are_ray_s() -> None:
    assert router.INITIAL_BACKOFF_S == constants.RAY_SERVE_ROUTER_RETRY_INITIAL_BACKOFF_S
    assert router.BACKOFF_MULTIPLIER == constants.RAY_SERVE_ROUTER_RETRY_BACKOFF_MULTIPLIER
    assert router.MAX_BACKOFF_S == constants.RAY_SERVE_ROUTER_RETRY_MAX_BACKOFF_S
    assert RequestRouter.max_num_routing_tasks_cap == router.MAX_TASKS


def test_two_choices_keep_queues_even() -> None:
    """400 requests over 100 replicas: chosen at random alone, the longest queue would have ten or so."""
    desk = Desk(replicas=100, max_ongoing=1_000, max_queued=10)
    desk.send(400)
    lengths = [len(replica.requests) for replica in desk.fleet.running]
    assert sum(lengths) == 400
    assert max(lengths) <= 6


def test_what_finds_no_room_waits_and_what_finds_no_place_is_refused_at_once() -> None:
    desk = Desk(replicas=2, max_ongoing=3, max_queued=4)
    desk.send(20)
    assert desk.router.num_queued == 4
    assert [ending for ending, _ in desk.ends] == [Ending.REFUSED] * 10
    desk.events.run(60.0)
    assert [ending for ending, _ in desk.ends[10:]] == [Ending.OK] * 10
    assert desk.router.num_queued == 0


def test_a_request_is_taken_from_the_queue_at_a_retry() -> None:
    """Speaking takes 19 steps; the retries come at 25 ms, 75 ms, … and each half second in the end."""
    desk = Desk(replicas=1, max_ongoing=2, max_queued=4)
    desk.send(3)
    desk.events.run(60.0)
    retries_s = [0.025, 0.075, 0.175, 0.375, 0.775, 1.275, 1.775, 2.275]
    assert [seconds for _, seconds in desk.ends] == pytest.approx([1.9, 1.9, retries_s[-1] + 1.9])


def test_a_request_that_waits_too_long_is_given_up() -> None:
    desk = Desk(replicas=1, max_ongoing=1, max_queued=4, timeout_s=1.0)
    desk.send(2)
    desk.events.run(60.0)
    assert [ending for ending, _ in desk.ends] == [Ending.LATE, Ending.OK]


def test_nothing_is_routed_without_replicas() -> None:
    desk = Desk(replicas=0, max_ongoing=1, max_queued=4)
    desk.send(1)
    desk.events.run(10.0)
    assert desk.router.num_queued == 1
