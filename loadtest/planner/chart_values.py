"""Values of `helm/xtts-serve` for a fleet that was found, under the names of its values.yaml."""

from typing import Any

from loadtest.planner.options import Cluster, Scaling
from loadtest.planner.profile import Profile


def chart_values(profile: Profile, scaling: Scaling, cluster: Cluster) -> dict[str, Any]:
    """The target of ongoing requests is no value of the chart: it follows from `settings.max_slots`."""
    return {
        "mode": "rayservice",
        "engine": {"minReplicas": scaling.min_replicas, "maxReplicas": scaling.max_replicas},
        "ingressWorkers": {"replicas": cluster.num_ingresses},
        "rayservice": {
            "autoscaler": {
                "enabled": not scaling.is_fixed,
                "idleTimeoutSeconds": round(cluster.node_idle_s),
            }
        },
        "settings": {
            "max_slots": profile.slots,
            "max_waiting": profile.max_waiting,
            "max_slots_per_request": profile.max_slots_per_request,
            "first_audio_timeout_s": profile.first_audio_timeout_s,
            "upscale_delay_s": scaling.upscale_delay_s,
            "downscale_delay_s": scaling.downscale_delay_s,
        },
    }


def as_yaml(values: dict[str, Any], indent: str = "") -> str:
    """Of nested dicts of numbers, words and booleans, which is all there is."""
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines.append(f"{indent}{name}:\n{as_yaml(value, indent + '  ')}")
        else:
            lines.append(f"{indent}{name}: {str(value).lower() if isinstance(value, bool) else f'{value}'}\n")
    return "".join(lines)
