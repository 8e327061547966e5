"""Every expression of the dashboard and of the rules parses, and reads only what is exported."""

import pytest

from serve_app.monitoring.expressions import LOCAL, RAY, Source
from serve_app.monitoring.panel import WINDOW
from tests.monitoring.promql import SOURCES, expressions, groupings, known_labels, parsed, readings

CASES = [(name, where) for name, source in SOURCES.items() for where in expressions(source)]
# Ray makes the sums of histograms from the middles of their buckets: good enough for shares of times, for no mean.
SUMS_WITH_RAY = {"ray_xtts_step_seconds_sum"}


@pytest.mark.parametrize(("name", "where"), CASES)
def test_expression_reads_what_is_exported(name: str, where: str) -> None:
    source = SOURCES[name]
    expression, known = expressions(source)[where], known_labels(source)
    assert readings(expression), "it reads nothing"
    for reading in readings(expression):
        assert reading.name in known, f"there is no {reading.name}"
        assert reading.labels <= known[reading.name], f"{reading.name} has no {reading.labels - known[reading.name]}"
    for labels, below in groupings(expression):
        there = frozenset[str]().union(*(known[reading.name] for reading in below))
        assert labels <= there, f"no series below has {labels - there}"


@pytest.mark.parametrize("where", expressions(RAY))
def test_sums_of_histograms_are_not_read_with_ray(where: str) -> None:
    sums = {reading.name for reading in readings(expressions(RAY)[where]) if reading.name.endswith("_sum")}
    assert sums <= SUMS_WITH_RAY


@pytest.mark.parametrize("source", [RAY, LOCAL])
def test_rules_use_no_variable_of_the_dashboard(source: Source) -> None:
    assert [where for where, each in expressions(source).items() if "$" in each and not where.startswith("panel")] == []


def test_every_metric_is_looked_at() -> None:
    """But for how long whole requests take, which is mostly how long their texts are."""
    read = {reading.name for each in expressions(RAY).values() for reading in readings(each)}
    known = [name for name in known_labels(RAY) if "_xtts_" in name and not name.endswith(("_count", "_sum"))]
    assert set(known) - read == {"ray_xtts_request_seconds_bucket"}


def test_parser_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="unclosed"):
        parsed(f"rate(x[{WINDOW}]")
