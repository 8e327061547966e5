"""What the service runs on: Ray, or a process of its own."""

from serve_app.monitoring import process_metrics, ray_metrics
from serve_app.monitoring.expressions import Source, highest, total
from serve_app.monitoring.panel import WINDOW, Panel, Query, Unit


def ray_platform(source: Source) -> tuple[Panel, ...]:
    engine = 'deployment="Engine"'
    by = ("deployment",)
    nodes = source.of_nodes()
    memory = nodes.select(ray_metrics.COMPONENT_MEMORY, 'Component=~"ray::ServeReplica.*"')
    # Ray renames a process while it works: ray::ServeReplica:application:Engine.handle_request.
    replicas = f'label_replace({memory}, "deployment", "$1", "Component", "ray::ServeReplica:[^:]*:([^.]*).*")'
    return (
        Panel(
            "Engine replicas",
            "Healthy below wanted for minutes: no GPU is free, or replicas fail while they start. `asked for` above "
            "`wanted`: the load exceeds the highest number allowed.",
            Unit.COUNT,
            (
                Query(f"{total(source.select(ray_metrics.REPLICA_HEALTHY, engine))} or vector(0)", "healthy"),
                Query(total(source.select(ray_metrics.REPLICAS_TARGET, engine)), "wanted"),
                Query(total(source.select(ray_metrics.REPLICAS_DESIRED, engine)), "asked for by the load"),
            ),
        ),
        Panel(
            "Requests, autoscaler's count",
            "At replicas and waiting, as the autoscaler sees them. Growing while `asked for` stays: it is behind.",
            Unit.COUNT,
            (Query(total(source.select(ray_metrics.AUTOSCALED_REQUESTS, engine)), "requests"),),
        ),
        Panel(
            "Deployments",
            "As Serve sees them; 6 is healthy. Below for minutes: `serve status` names the reason.",
            Unit.COUNT,
            (Query(f"min by (deployment) ({source.select(ray_metrics.DEPLOYMENT_STATUS)})", "{{deployment}}"),),
            good=6,
            names=ray_metrics.STATUSES,
        ),
        Panel(
            "Starts of replicas",
            "In fifteen minutes. Many without growth: replicas die and are replaced; read the log of the last one.",
            Unit.COUNT,
            (Query(source.growth(ray_metrics.REPLICA_STARTS, "15m", by=by), "{{deployment}}"),),
        ),
        Panel(
            "Memory of replicas",
            "Resident, of the largest on each node. Steady growth over days at steady load is a leak.",
            Unit.BYTES,
            (Query(highest(replicas, ("deployment", "ip")), "{{deployment}} {{ip}}"),),
        ),
        Panel(
            "CPU of nodes",
            "Near 100 % on GPU nodes: the engine waits for its CPU.",
            Unit.PERCENT,
            (Query(highest(nodes.select(ray_metrics.NODE_CPU), ("ip",)), "{{ip}}"),),
        ),
    )


def process(source: Source) -> tuple[Panel, ...]:
    legend = f"{{{{{source.member}}}}}"
    return (
        Panel(
            "Memory",
            "Resident, by process. Steady growth over days at steady load is a leak.",
            Unit.BYTES,
            (Query(highest(source.select(process_metrics.MEMORY), (source.member,)), legend),),
        ),
        Panel(
            "CPU",
            "Cores in use, by process.",
            Unit.COUNT,
            (Query(source.rate(process_metrics.CPU, WINDOW, by=(source.member,)), legend),),
        ),
    )
