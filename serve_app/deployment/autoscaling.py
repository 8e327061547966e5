"""How many engine replicas are wanted: by the slots that speech asks for and by how late it is, not by CPU.

Serve's controller calls `replicas_wanted` ten times a second with what the replicas last reported, averaged over
`look_back_period_s`; bounds and delays are Serve's own and come after it.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from serve_app.settings import Settings
from serve_app.speech.request import ServiceLoad

POLICY = "serve_app.deployment.autoscaling:replicas_wanted"
TARGET_LOAD = 0.75  # of the slots: more wanted than that, and another replica is started before anyone waits
LATE_S = 0.5  # a sentence that waits longer for its slot is late, whatever the slots say
LOOK_BACK_S = 5.0
FALLING_SINCE, PEAK = "xtts_falling_since", "xtts_peak"  # what the policy remembers between two calls
REPORT_PERIOD_S = 1.0


@dataclass(frozen=True)
class FleetLoad:
    """What all engine replicas report together. `num_reports` is the number of replicas that did."""

    num_reports: int
    slots: float
    wanted_slots: float
    oldest_wait_s: float
    running_requests: float
    queued_requests: float  # not yet at any replica


def load_report(load: ServiceLoad) -> dict[str, float]:
    """What a replica tells the controller."""
    return {
        "slots": float(load.num_slots),
        "wanted_slots": float(load.num_wanted_slots),
        "oldest_wait_s": load.oldest_wait_s,
    }


def replicas_wanted(context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
    """Serve's interface: the number of replicas, a fraction, and what to remember."""
    metrics = context.aggregated_metrics or {}
    slots = _values(metrics, "slots")
    load = FleetLoad(
        num_reports=len(slots),
        slots=sum(slots),
        wanted_slots=sum(_values(metrics, "wanted_slots")),
        oldest_wait_s=max(_values(metrics, "oldest_wait_s"), default=0.0),
        running_requests=context.total_running_requests,
        queued_requests=context.total_queued_requests,
    )
    target = context.target_num_replicas
    wanted = wanted_for(load, context.current_num_replicas, target)
    return steadied(wanted, target, context.policy_state or {}, context.current_time or time.time())


def wanted_for(load: FleetLoad, num_running: int, num_target: int) -> float:
    """Replicas that would carry this load at `TARGET_LOAD`; where speech is late, one more than run."""
    if not load.num_reports or load.slots <= 0.0:
        return num_target
    slots_per_request = max(1.0, load.wanted_slots / load.running_requests) if load.running_requests >= 1.0 else 1.0
    wanted_slots = load.wanted_slots + load.queued_requests * slots_per_request
    wanted = wanted_slots / (TARGET_LOAD * load.slots / load.num_reports)
    is_late = load.oldest_wait_s > LATE_S
    return max(wanted, num_running + 1) if is_late else wanted


def steadied(wanted: float, num_target: int, state: Mapping[str, Any], now_s: float) -> tuple[float, dict[str, Any]]:
    """While fewer are wanted than there are: the most that were wanted in that time.

    When its delay is over, Serve goes to what is wanted in that moment, and a moment in which few happen to speak would
    empty the fleet.
    """
    since_s, peak = state.get(FALLING_SINCE), state.get(PEAK)
    if math.ceil(wanted) >= num_target:
        since_s, peak = None, None
    elif since_s is None or peak is None or math.ceil(peak) >= num_target:
        since_s, peak = now_s, wanted
    elif now_s - since_s <= LOOK_BACK_S:  # reports are still averaged with what was before
        peak = wanted
    else:
        peak = max(peak, wanted)
    return wanted if peak is None else peak, {FALLING_SINCE: since_s, PEAK: peak}


def _values(metrics: Mapping[str, Mapping[Any, float]], name: str) -> list[float]:
    return [float(value) for value in metrics.get(name, {}).values()]


def autoscaling_config(settings: Settings, num_slots: int) -> AutoscalingConfig:
    """Between the settings' bounds. The target in requests counts only where replicas report nothing."""
    return AutoscalingConfig(
        min_replicas=settings.min_engine_replicas,
        max_replicas=max(settings.min_engine_replicas, settings.max_engine_replicas),
        target_ongoing_requests=max(1.0, TARGET_LOAD * num_slots),
        metrics_interval_s=REPORT_PERIOD_S,  # on its way out in Ray, and still what a look-back must be longer than
        look_back_period_s=LOOK_BACK_S,
        upscale_delay_s=settings.upscale_delay_s,
        downscale_delay_s=settings.downscale_delay_s,
        policy=AutoscalingPolicy(policy_function=POLICY),  # type: ignore[no-untyped-call]
    )
