"""Serve's own policy under the simulation's clock: Ray's interface, its delays, and the fleet that follows."""

import inspect
import time
from dataclasses import replace

import pytest
from ray.serve import autoscaling_policy
from ray.serve.config import AutoscalingConfig, AutoscalingContext

from loadtest.planner.autoscaler import Autoscaler
from loadtest.planner.options import Cluster, Scaling, ServeOptions
from loadtest.planner.simulation import Scenario, simulate
from loadtest.planner.traffic import constant, spike
from loadtest.planner.workload import Workload
from serve_app.deployment.application import engine_options
from serve_app.deployment.autoscaling import LOOK_BACK_S, REPORT_PERIOD_S, replicas_wanted
from tests.loadtest.planner.examples import example, plain

CALM = Workload(distribution="fixed", median_chars=80)


def test_ray_s_interface_is_the_one_that_is_driven() -> None:
    """What the planner calls in Ray 2.60; a Ray that moves it fails here."""
    wrap = inspect.signature(autoscaling_policy._apply_autoscaling_config)
    assert list(wrap.parameters) == ["policy_func"]
    assert set(inspect.signature(AutoscalingContext.__init__).parameters) == {
        *("self", "deployment_id", "deployment_name", "app_name", "current_num_replicas", "target_num_replicas"),
        *("running_replicas", "total_num_requests", "total_queued_requests", "aggregated_metrics", "raw_metrics"),
        *("capacity_adjusted_min_replicas", "capacity_adjusted_max_replicas", "policy_state", "config"),
        *("last_scale_up_time", "last_scale_down_time", "current_time"),
    }
    assert {"min_replicas", "max_replicas", "upscale_delay_s", "downscale_delay_s", "policy"} <= set(
        AutoscalingConfig.model_fields
    )
    assert "time.time()" in inspect.getsource(autoscaling_policy._apply_delay_logic)
    assert autoscaling_policy.time is time


def test_options_are_the_service_s_own() -> None:
    options = ServeOptions.of(example(), Scaling(2, 5, upscale_delay_s=3.0), Cluster(num_ingresses=4))
    assert (options.max_ongoing, options.max_queued) == (18, 64)
    assert (options.autoscaling.min_replicas, options.autoscaling.max_replicas) == (2, 5)
    assert options.autoscaling.upscale_delay_s == 3.0
    assert options.autoscaling.policy.get_policy().__qualname__ == replicas_wanted.__qualname__
    assert engine_options.__module__ == "serve_app.deployment.application"
    assert LOOK_BACK_S / REPORT_PERIOD_S == 5.0


@pytest.mark.parametrize("policy", ["service", "ray-default"])
def test_delays_are_honoured_up_and_down(policy: str) -> None:
    scaling = Scaling(1, 8, upscale_delay_s=30.0, downscale_delay_s=200.0, policy=policy)  # type: ignore[arg-type]
    curve = spike(0.05, 30.0, 300.0, 300.0, 1_500.0)  # more than eight can do, until its end
    cluster = Cluster(node_start_s=40.0, node_idle_s=60.0)
    outcome = simulate(Scenario(example(), curve, CALM, scaling, cluster))
    times, wanted, running = (outcome.timeline.column(name) for name in ("time_s", "wanted", "running"))
    first_up_s = float(times[wanted > 1][0])
    assert 330.0 <= first_up_s <= 345.0  # thirty seconds of wish, and the look-back before it
    assert float(times[running > 1][0]) == pytest.approx(first_up_s + 40.0 + 20.0, abs=1.5)  # a node, and the load
    assert wanted.max() == running.max() == 8
    last_high_s = float(times[wanted == 8][-1])
    assert 800.0 <= last_high_s <= 840.0  # what runs at the spike's end must end first
    assert wanted[-1] == running[-1] == 1
    assert outcome.timeline.column("paid")[-1] == 1
    assert autoscaling_policy.time is time


def test_no_wish_is_no_decision() -> None:
    options = ServeOptions.of(example(), Scaling(1, 8), Cluster())
    autoscaler = Autoscaler(options.autoscaling, 16, 3)
    assert autoscaler.tick(0.0, [], 0) == 3


def test_nodes_that_idle_are_paid_for_until_they_go() -> None:
    """Two replicas wanted for a minute: the second's node is paid until it has idled for its time."""
    scaling = Scaling(1, 2, upscale_delay_s=0.0, downscale_delay_s=50.0)
    curve = spike(0.01, 4.0, 100.0, 60.0, 1_000.0)
    scenario = Scenario(plain(4, 0.02), curve, CALM, scaling, Cluster(node_start_s=5.0, node_idle_s=100.0))
    outcome = simulate(scenario)
    longer = simulate(replace(scenario, cluster=Cluster(node_start_s=5.0, node_idle_s=300.0)))
    assert max(outcome.timeline.column("running")) == 2
    assert longer.paid_s - outcome.paid_s == pytest.approx(200.0, abs=1.0)


def test_a_part_of_a_fleet_decides_as_the_whole() -> None:
    """A steady load: what 20 replicas that stand for 80 want is what 80 want."""
    scaling = Scaling(10, 80, downscale_delay_s=60.0)
    scenario = Scenario(example(), constant(30.0, 400.0), CALM, scaling, Cluster(), initial_replicas=40)
    whole = simulate(scenario).timeline.column("wanted")[300:].mean()
    part = simulate(replace(scenario, most_simulated=20)).timeline.column("wanted")[300:].mean()
    assert part == pytest.approx(whole, rel=0.15)
