"""What a plan may vary, and how Serve runs the service with it: Serve's options are the service's own."""

from dataclasses import dataclass
from typing import Any, Literal

from loadtest.planner.profile import STRICT, Profile
from serve_app.errors import SettingsError
from serve_app.settings import Settings, make_settings

Policy = Literal["service", "ray-default"]


@dataclass(frozen=True)
class Scaling:
    """Between how many replicas, and how fast. Equal bounds are a fixed fleet."""

    min_replicas: int
    max_replicas: int
    upscale_delay_s: float = 5.0
    downscale_delay_s: float = 300.0
    policy: Policy = "service"

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.max_replicas:
            raise SettingsError("a fleet has a replica at least, and its upper bound is not below the lower one")

    @staticmethod
    def fixed(number: int) -> "Scaling":
        return Scaling(number, number)

    @property
    def is_fixed(self) -> bool:
        return self.min_replicas == self.max_replicas


@dataclass(frozen=True)
class Failure:
    """At `at_s` this share of the running replicas dies. `takes_nodes`: with their machines, as a region does; else
    processes alone. `are_nodes_to_be_had`: whether new machines can be started afterwards. `traffic` is that
    afterwards, in times what it would be: what another region's failure brings.
    """

    __pydantic_config__ = STRICT

    at_s: float
    share: float = 0.0
    takes_nodes: bool = True
    are_nodes_to_be_had: bool = True
    traffic: float = 1.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.share <= 1.0 and self.at_s >= 0.0 and self.traffic >= 0.0):
            raise SettingsError("a failure takes a share from 0 to 1, at a time that is not below 0")


@dataclass(frozen=True)
class Cluster:
    """What surrounds the replicas."""

    __pydantic_config__ = STRICT

    node_start_s: float = 120.0  # from the autoscaler's wish to a node that can start a process
    node_idle_s: float = 300.0  # until a node without a replica is given back
    num_ingresses: int = 2


@dataclass(frozen=True)
class ServeOptions:
    """How Ray Serve runs the engine."""

    autoscaling: Any  # ray.serve.config.AutoscalingConfig
    max_ongoing: int  # of one replica
    max_queued: int  # of all ingresses together

    @staticmethod
    def of(profile: Profile, scaling: Scaling, cluster: Cluster) -> "ServeOptions":
        """By the functions that the deployment itself uses."""
        from serve_app.deployment.application import engine_options  # loads Ray

        options = engine_options(settings_of(profile, scaling, cluster))
        autoscaling = options["autoscaling_config"]
        if scaling.policy == "ray-default":
            from ray.serve.config import AutoscalingPolicy

            autoscaling = autoscaling.model_copy(update={"policy": AutoscalingPolicy()})  # type: ignore[no-untyped-call]
        max_queued = options["max_queued_requests"] * cluster.num_ingresses
        return ServeOptions(autoscaling, options["max_ongoing_requests"], max_queued)


def settings_of(profile: Profile, scaling: Scaling, cluster: Cluster) -> Settings:
    return make_settings(
        max_slots=profile.slots,
        max_waiting=profile.max_waiting,
        max_slots_per_request=profile.max_slots_per_request,
        first_audio_timeout_s=profile.first_audio_timeout_s,
        num_ingress_replicas=cluster.num_ingresses,
        min_engine_replicas=scaling.min_replicas,
        max_engine_replicas=scaling.max_replicas,
        upscale_delay_s=scaling.upscale_delay_s,
        downscale_delay_s=scaling.downscale_delay_s,
    )
