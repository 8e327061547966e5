"""Serve's own autoscaling under the simulation's clock: Ray's decision with its delays, around the service's policy.

What is real: the policy that `serve_app.deployment` gives to Serve, `AutoscalingConfig` and `AutoscalingContext`, and
Ray's wrapper that applies factors, delays and the start from nothing. What is played: reports of replicas, averaged
over the look-back, and the time, which Ray's module reads from the name `time` in it.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from types import SimpleNamespace
from typing import Any

from ray.serve import autoscaling_policy
from ray.serve._private.common import DeploymentID
from ray.serve.config import AutoscalingConfig, AutoscalingContext

from loadtest.planner.fleet import SAMPLES_KEPT, Replica

NAME = DeploymentID("Engine", "planned")


class Autoscaler:
    """Decides how many replicas there should be. `share` is the part of the fleet that is simulated: what its replicas
    report stands for all, and decisions are for all.
    """

    def __init__(self, config: AutoscalingConfig, slots: int, target: int, share: float = 1.0) -> None:
        self.config, self.target = config, target
        self._slots, self._share = slots, share
        policy = config.policy.get_policy()
        self._decide = autoscaling_policy._apply_autoscaling_config(policy)
        self._state: dict[str, Any] = {}
        self._queued: deque[int] = deque(maxlen=SAMPLES_KEPT)
        self._ongoing: deque[int] = deque(maxlen=SAMPLES_KEPT)
        self._last_up_s: float | None = None
        self._last_down_s: float | None = None

    def tick(self, now_s: float, running: Sequence[Replica], num_queued: int) -> int:
        """A second has passed. Returns the replicas of the whole fleet that are wanted now."""
        for replica in running:
            replica.report()
        self._queued.append(num_queued)
        self._ongoing.append(num_queued + sum(len(replica.requests) for replica in running))
        with _ray_clock(now_s):
            wanted, self._state = self._decide(self._context(now_s, running))
        bounded = max(self.config.min_replicas, min(self.config.max_replicas, ceil(wanted)))
        if bounded > self.target:
            self._last_up_s = now_s
        elif bounded < self.target:
            self._last_down_s = now_s
        self.target = bounded
        return bounded

    def _context(self, now_s: float, running: Sequence[Replica]) -> AutoscalingContext:
        known = {index: replica for index, replica in enumerate(running) if replica.wanted_slots}
        whole = 1.0 / self._share
        metrics: dict[str, dict[Any, float]] = {
            "slots": dict.fromkeys(known, float(self._slots)),
            "wanted_slots": {index: _mean(each.wanted_slots) * whole for index, each in known.items()},
            "oldest_wait_s": {index: _mean(each.waits_s) for index, each in known.items()},
        }
        return AutoscalingContext(
            deployment_id=NAME,
            deployment_name=NAME.name,
            app_name=NAME.app_name,
            current_num_replicas=round(len(running) * whole),
            target_num_replicas=self.target,
            running_replicas=[],
            total_num_requests=_mean(self._ongoing) * whole,
            total_queued_requests=_mean(self._queued) * whole,
            aggregated_metrics=metrics,
            raw_metrics=None,
            capacity_adjusted_min_replicas=self.config.min_replicas,
            capacity_adjusted_max_replicas=self.config.max_replicas,
            policy_state=self._state,
            last_scale_up_time=self._last_up_s,
            last_scale_down_time=self._last_down_s,
            current_time=now_s,
            config=self.config,
        )


def _mean(values: "deque[int] | deque[float]") -> float:
    return sum(values) / len(values)


@contextmanager
def _ray_clock(now_s: float) -> Iterator[None]:
    """Ray's policy module asks `time.time()`; for as long as this is open, it is told `now_s`."""
    names = vars(autoscaling_policy)
    real = names["time"]
    names["time"] = SimpleNamespace(time=lambda: now_s)
    try:
        yield
    finally:
        names["time"] = real
