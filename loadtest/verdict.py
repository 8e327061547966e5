"""Checks with a name, a result and the numbers behind it; and tables in Markdown."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True)
class Check:
    name: str
    is_ok: bool
    found: str
    is_time: bool = False  # a busy neighbour on the same machine can fail it


def may_be_the_machine(checks: Sequence[Check]) -> bool:
    """Whether some failed and all of those are times: another try can tell a slow service from a busy machine."""
    failed = [each for each in checks if not each.is_ok]
    return bool(failed) and all(each.is_time for each in failed)


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
