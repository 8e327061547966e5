"""Ports of 127.0.0.1 that nobody listens on."""

import random
import socket

BELOW_WHAT_THE_SYSTEM_GIVES = range(18_000, 31_000)  # or another process's connection may take it meanwhile


def free_port() -> int:
    for port in random.SystemRandom().sample(BELOW_WHAT_THE_SYSTEM_GIVES, 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("a hundred ports are taken")
