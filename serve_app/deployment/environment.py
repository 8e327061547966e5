"""What Serve's processes read from their environment when they start: `serve` sets it, the chart does in every pod."""

import os

from serve_app.deployment.autoscaling import REPORT_PERIOD_S

GRPC_VARIABLE = "RAY_SERVE_USE_GRPC_BY_DEFAULT"
SERVE_VARIABLES = {
    # The defaults of 10 s would hide a queue for as long.
    "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": str(REPORT_PERIOD_S),
    "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": str(REPORT_PERIOD_S),
    # Proxy, ingress and engine speak gRPC, not by Ray's object streams: sooner, for less CPU (docs/performance.md).
    GRPC_VARIABLE: "1",
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(2**31 - 1),  # recordings are larger than its default of 4 MiB
}


def set_serve_variables() -> None:
    """For a Ray that this process starts. A cluster of its own sets `SERVE_VARIABLES` in its pods."""
    for name, value in SERVE_VARIABLES.items():
        os.environ.setdefault(name, value)


def is_grpc() -> bool:
    """Whether replicas of this process's Serve speak gRPC to each other. Asked here and not left to a handle's default,
    which is that of the process that built the application.
    """
    return os.environ.get(GRPC_VARIABLE) == "1"
