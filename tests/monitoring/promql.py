"""What an expression reads: its metrics and the labels it uses, as a parser sees them."""

from collections.abc import Iterator
from dataclasses import dataclass

import promql_parser

from serve_app import metrics
from serve_app.metrics import Kind, Metric
from serve_app.monitoring import process_metrics, ray_metrics
from serve_app.monitoring.alerts import rules
from serve_app.monitoring.dashboard import dashboard
from serve_app.monitoring.expressions import LOCAL, RAY, Source
from serve_app.monitoring.panel import WINDOW
from serve_app.monitoring.recordings import recordings

SOURCES = {"ray": RAY, "local": LOCAL}
SCRAPED = frozenset({"namespace", "job", "instance"})  # what Prometheus adds
SERVE = frozenset({"application", "deployment", "replica"})  # what Ray Serve adds


@dataclass(frozen=True)
class Reading:
    """A selector: its name and the labels that it matches."""

    name: str
    labels: frozenset[str]


def parsed(expression: str) -> promql_parser.Expr:
    return promql_parser.parse(expression.replace(WINDOW, "1m"))


def readings(expression: str) -> list[Reading]:
    found: list[Reading] = []

    def visit(node: promql_parser.Expr) -> None:
        selector = node.vector_selector if isinstance(node, promql_parser.MatrixSelector) else node
        if isinstance(selector, promql_parser.VectorSelector):
            labels = frozenset(matcher.name for matcher in selector.matchers.matchers)
            found.append(Reading(selector.name or "", labels))

    promql_parser.walk(parsed(expression), visit)
    return found


def made_labels(expression: str) -> frozenset[str]:
    """The labels that `label_replace` makes."""
    found: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.Call) and node.func.name == "label_replace":
            found.add(node.args[1].val)

    promql_parser.walk(parsed(expression), visit)
    return frozenset(found)


def groupings(expression: str) -> Iterator[tuple[frozenset[str], list[Reading]]]:
    """The labels of each `by`, but those made below it, and what is read below it."""
    nodes: list[promql_parser.AggregateExpr] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            nodes.append(node)

    promql_parser.walk(parsed(expression), visit)
    for node in nodes:
        below = str(node.expr)
        yield frozenset(node.modifier.labels) - made_labels(below), readings(below)


def known_labels(source: Source) -> dict[str, frozenset[str]]:
    """Each name that may be read → the labels that its series have."""
    ours = _names(source, metrics.ALL, SCRAPED | SERVE if source.is_ray else SCRAPED)
    others = _names(source, ray_metrics.ALL if source.is_ray else process_metrics.ALL, SCRAPED)
    recorded = {name: frozenset(source.group) for name in recordings(source)}
    return {**ours, **others, **recorded}


def _names(source: Source, kinds: tuple[Metric, ...], added: frozenset[str]) -> dict[str, frozenset[str]]:
    found = {}
    for metric in kinds:
        labels = frozenset(metric.labels) | added
        name = source.prefix + metric.name
        match metric.kind:
            case Kind.COUNTER:
                found[f"{name}_total"] = labels
            case Kind.GAUGE:
                found[name] = labels
            case Kind.HISTOGRAM:
                found |= {f"{name}_{part}": labels for part in ("count", "sum")}
                found[f"{name}_bucket"] = labels | {"le"}
    return found


def expressions(source: Source) -> dict[str, str]:
    """Where it stands → the expression, of all panels and rules."""
    found = {}
    for panel in dashboard(source)["panels"]:
        for target in panel.get("targets", []):
            found[f"panel {panel['title']} {target['refId']} {panel['id']}"] = target["expr"]
    for group in rules(source)["groups"]:
        for rule in group["rules"]:
            found[rule.get("alert") or rule["record"]] = rule["expr"]
    return found
