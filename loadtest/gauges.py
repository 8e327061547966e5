"""What the service itself says it is doing: its own metrics, from its Prometheus port, with Ray and without."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from loadtest.wire import Address, Call, End, ask

TIMEOUT_S = 10.0
RAY_PREFIX = "ray_"


@dataclass(frozen=True)
class Gauges:
    """Summed over replicas; None where nothing was exported."""

    requests_open: float | None = None
    slots_used: float | None = None
    sentences_waiting: float | None = None

    @property
    def is_idle(self) -> bool:
        return self == Gauges(0.0, 0.0, 0.0)


def parse_metrics(text: str) -> Mapping[str, float]:
    """Samples of Prometheus' text format by name, without Ray's prefix, added up over labels and replicas."""
    found: defaultdict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name.removeprefix(RAY_PREFIX)] += sample.value
    return dict(found)


def parse_gauges(text: str) -> Gauges:
    found = parse_metrics(text)
    return Gauges(*(found.get(f"xtts_{name}") for name in ("requests_open", "slots_used", "sentences_waiting")))


async def read_metrics(address: Address) -> str:
    """As Prometheus would read them; empty where it would not get them."""
    answer = await ask(address, Call("/metrics", method="GET"), TIMEOUT_S)
    is_read = answer.end is End.COMPLETE and answer.status == 200
    return answer.body.decode("utf-8", "replace") if is_read else ""


async def read_gauges(address: Address) -> Gauges:
    return parse_gauges(await read_metrics(address))
