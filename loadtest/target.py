"""The service that a load is aimed at: one that we started, or one that stands at an address."""

import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Protocol
from urllib.parse import urlsplit

from loadtest.server import RunningService
from loadtest.wire import Address, Call, End, ask
from serve_app.bench.machine import machine
from serve_app.errors import StartupError

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class About:
    """What a service says of itself, and what is known beside it."""

    languages: Collection[str]
    facts: dict[str, object]


class Target(Protocol):
    @property
    def address(self) -> Address: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Of each request."""

    @property
    def metrics(self) -> Address | None:
        """Where Prometheus would read; None where nothing is exported to us."""

    def cpu_s(self) -> float | None:
        """Of all its processes so far; None where they are not ours to see."""

    async def about(self) -> About:
        """Raises `StartupError` where nobody answers, or not as our service does."""


@dataclass(frozen=True)
class OwnTarget:
    """A service of this machine that shares its cores with the generator."""

    service: RunningService
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> Address:
        return self.service.address

    @property
    def metrics(self) -> Address | None:
        return self.service.metrics

    def cpu_s(self) -> float | None:
        return sum(self.service.tree.cpu_s().values())

    async def about(self) -> About:
        settings = self.service.settings
        facts: dict[str, object] = {
            "mode": "Ray" if self.service.is_ray else "local",
            "settings": {
                name: getattr(settings, name)
                for name in ("dtype", "quantization", "num_threads", "max_slots", "max_chunk_s", "deterministic")
            },
            "shares its machine with the generator": True,
        }
        return await _about(self.address, self.headers, facts)


@dataclass(frozen=True)
class RemoteTarget:
    """`url`: http or https, without a path. `metrics_url`: where Prometheus reads one replica or a sum of them."""

    address: Address
    headers: Mapping[str, str] = field(default_factory=dict)
    metrics: Address | None = None

    def cpu_s(self) -> float | None:
        return None

    async def about(self) -> About:
        facts: dict[str, object] = {"address": str(self.address), "shares its machine with the generator": False}
        return await _about(self.address, self.headers, facts)


def parse_address(url: str) -> Address:
    """Raises `ValueError` for what is no http or https address."""
    parts = urlsplit(url if "//" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no address as http://host:8100")
    is_tls = parts.scheme == "https"
    return Address(parts.port or (443 if is_tls else 80), parts.hostname, is_tls=is_tls)


async def _about(address: Address, headers: Mapping[str, str], facts: dict[str, object]) -> About:
    answer = await ask(address, Call("/health", method="GET", headers=headers), TIMEOUT_S)
    said = answer.json()
    if answer.end is not End.COMPLETE or answer.status != 200 or not isinstance(said, dict):
        raise StartupError(f"{address} did not answer GET /health with 200 ({answer.end}, status {answer.status})")
    names = ("model", "device")
    return About(
        tuple(said.get("supported_languages", ())),
        {
            **{name: said.get(name) for name in names},
            **facts,
            "generator": machine(),
            "xtts-serve": version("xtts-serve"),
            "python": platform.python_version(),
        },
    )
