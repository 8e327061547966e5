"""Ray's own metrics that we look at, by the names and labels that Ray 2.60 exports. Bare, like ours."""

from serve_app.metrics import Kind, Metric

_DEPLOYMENT = ("application", "deployment")

REPLICA_HEALTHY = Metric(
    Kind.GAUGE, "serve_deployment_replica_healthy", "1 if Serve finds the replica healthy", (*_DEPLOYMENT, "replica")
)
REPLICAS_TARGET = Metric(
    Kind.GAUGE, "serve_autoscaling_target_replicas", "Replicas that Serve tries to reach", _DEPLOYMENT
)
REPLICAS_DESIRED = Metric(
    Kind.GAUGE, "serve_autoscaling_desired_replicas", "Replicas that the load asks for, before the bounds", _DEPLOYMENT
)
REPLICA_STARTS = Metric(
    Kind.COUNTER, "serve_deployment_replica_starts", "Starts of replicas, the first one too", (*_DEPLOYMENT, "replica")
)
AUTOSCALED_REQUESTS = Metric(
    Kind.GAUGE, "serve_autoscaling_total_requests", "Requests that the autoscaler counts", _DEPLOYMENT
)
DEPLOYMENT_STATUS = Metric(Kind.GAUGE, "serve_deployment_status", "A number, 6 is healthy", _DEPLOYMENT)
REQUESTS_QUEUED = Metric(
    Kind.GAUGE, "serve_deployment_queued_queries", "Requests that no replica has taken yet", (*_DEPLOYMENT, "handle")
)
REQUESTS_AT_REPLICAS = Metric(
    Kind.GAUGE, "serve_num_ongoing_requests_at_replicas", "Requests that replicas have", (*_DEPLOYMENT, "handle")
)
NODE_CPU = Metric(Kind.GAUGE, "node_cpu_utilization", "Per cent of a node's CPU in use", ("ip",))
COMPONENT_MEMORY = Metric(Kind.GAUGE, "component_rss_bytes", "Resident memory of a process", ("ip", "pid", "Component"))

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

STATUSES = {0: "unknown", 1: "deploy failed", 2: "unhealthy", 3: "updating", 4: "growing", 5: "shrinking", 6: "healthy"}
