"""Checks with a name, a result and the numbers behind it; and tables in Markdown."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True)
class Check:
    name: str
    is_ok: bool
    found: str


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all are not above; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else 0.0


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + " --- |" * len(head)
    for cells in rows:
        yield f"| {' | '.join(cells)} |"


def check_table(checks: Sequence[Check]) -> Iterator[str]:
    return table(["check", "", "found"], ([each.name, "ok" if each.is_ok else "FAILED", each.found] for each in checks))
