"""Ports of 127.0.0.1 that nobody listens on."""

from serve_app.local import bound_socket
from serve_app.settings import Settings


def free_port() -> int:
    with bound_socket(Settings(host="127.0.0.1", port=0)) as probe:
        port: int = probe.getsockname()[1]
        return port
