"""What the service itself says it is doing: its own gauges, from its Prometheus port, with Ray and without."""

import re
from dataclasses import dataclass

from loadtest.wire import Call, End, ask

TIMEOUT_S = 10.0
_SAMPLE = re.compile(r"^(?:ray_)?xtts_(requests_open|slots_used|sentences_waiting)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Gauges:
    """Summed over replicas; None where nothing was exported."""

    requests_open: float | None = None
    slots_used: float | None = None
    sentences_waiting: float | None = None

    @property
    def is_idle(self) -> bool:
        return self == Gauges(0.0, 0.0, 0.0)


def parse_gauges(text: str) -> Gauges:
    """From Prometheus' text format."""
    found: dict[str, float] = {}
    for name, value in _SAMPLE.findall(text):
        found[name] = found.get(name, 0.0) + float(value)
    return Gauges(**found)


async def read_gauges(port: int) -> Gauges:
    answer = await ask(port, Call("/metrics", method="GET"), TIMEOUT_S)
    is_read = answer.end is End.COMPLETE and answer.status == 200
    return parse_gauges(answer.body.decode("utf-8", "replace")) if is_read else Gauges()
