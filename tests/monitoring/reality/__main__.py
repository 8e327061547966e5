"""Starts the service and a Prometheus, makes traffic, asks every expression, draws the answers, and ends both.

Fails where an expression is refused, a rule has an error, or a panel that must have data has none.
"""

import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import typer

from serve_app.monitoring.dashboard import rows
from serve_app.monitoring.expressions import RAY
from serve_app.monitoring.panel import WINDOW, Panel, Query, Row
from tests.end_to_end.serving import free_port, serving
from tests.monitoring.promtool import ROOT
from tests.monitoring.reality.prometheus import Line, Prometheus, scraping
from tests.monitoring.reality.sheet import Answer, draw, legend
from tests.monitoring.reality.traffic import END_S, run_traffic

IMAGE = ROOT / "docs" / "images" / "dashboard.png"
RATE_INTERVAL = "30s"  # Ray reports each ten seconds
REPORTED_S = 25.0  # after which the last request is in Prometheus
EMPTY_HERE = ("there is no GPU", "none was met yet")
SETTINGS = {
    "XTTS_MODEL": "mini",
    "XTTS_DTYPE": "auto",
    "XTTS_DETERMINISTIC": "0",
    "XTTS_MAX_SLOTS": "4",  # so that a crowd of this size is one
    "XTTS_MAX_WAITING": "8",
}


def main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="monitoring-check-"))
    metrics_port = free_port()
    with (
        serving(directory / "service", XTTS_METRICS_PORT=str(metrics_port), **SETTINGS) as server,
        scraping(metrics_port, directory) as prometheus,
    ):
        typer.echo(f"{END_S:.0f} s of traffic on {server.url}, Prometheus on {prometheus.url}")
        start_s = time.time()
        seen = run_traffic(server)
        typer.echo("answers: " + ", ".join(f"{name}: {count}" for name, count in sorted(seen.items())))
        time.sleep(REPORTED_S)
        answers = _ask(prometheus, start_s)
        problems = [*_missing(answers), *_tell_rules(prometheus, start_s)]
    draw(answers, f"XTTS v2 service: {END_S:.0f} s of mixed traffic, a crowd, a killed engine (minutes)", IMAGE)
    typer.echo(f"drawn: {IMAGE.relative_to(ROOT)}, {IMAGE.stat().st_size / 1000:.0f} kB")
    for problem in problems:
        typer.secho(problem, fg="red", err=True)
    sys.exit(1 if problems else 0)


def _ask(prometheus: Prometheus, start_s: float) -> list[tuple[Row, list[Answer]]]:
    everywhere = RAY.scoped(*(f'{label}=~".*"' for label in RAY.group))  # what Grafana makes of "All"
    end_s = time.time()
    return [
        (row, [Answer(panel, _lines(prometheus, panel, start_s, end_s)) for panel in row.panels])
        for row in rows(everywhere)
    ]


def _lines(prometheus: Prometheus, panel: Panel, start_s: float, end_s: float) -> list[tuple[str, Line]]:
    found = []
    for query in panel.queries:
        for line in prometheus.over(query.expression.replace(WINDOW, RATE_INTERVAL), start_s, end_s):
            since = Line(line.labels, [at - start_s for at in line.times_s], line.values)
            found.append((legend(query.legend, line.labels), since))
    return found


def _missing(answers: Sequence[tuple[Row, Sequence[Answer]]]) -> list[str]:
    num_queries = sum(len(answer.panel.queries) for _, row in answers for answer in row)
    num_lines = sum(len(answer.lines) for _, row in answers for answer in row)
    typer.echo(f"panels: {sum(len(row) for _, row in answers)}, queries: {num_queries}, lines: {num_lines}")
    found = []
    for row, each in answers:
        for answer in each:
            expected = () if answer.panel.empty in EMPTY_HERE else answer.panel.queries
            for query in expected:
                if not _has_data(query, answer):
                    found.append(f"no data: {row.title} / {answer.panel.title} / {query.legend}")
            if answer.panel.empty in EMPTY_HERE and not answer.lines:
                typer.echo(f"empty: {row.title} / {answer.panel.title}: {answer.panel.empty}")
    return found


def _has_data(query: Query, answer: Answer) -> bool:
    return any(
        legend(query.legend, line.labels) == name and any(map(math.isfinite, line.values))
        for name, line in answer.lines
    )


def _tell_rules(prometheus: Prometheus, start_s: float) -> list[str]:
    rules = prometheus.rules()
    typer.echo(f"rules: {len(rules)}, in order: {sum(rule['health'] == 'ok' for rule in rules)}")
    for state in ("pending", "firing"):
        lines = prometheus.over(f'ALERTS{{alertstate="{state}"}}', start_s, time.time())
        names = sorted({line.labels["alertname"] for line in lines})
        typer.echo(f"alerts that were {state}: {', '.join(names) or 'none'}")
    for rule in rules:
        for alert in rule.get("alerts", []):
            typer.echo(f"now {alert['state']}: {rule['name']}: {alert['annotations']['summary']}")
    return [
        f"rule {rule['name']}: {rule['health']} {rule.get('lastError', '')}" for rule in rules if rule["health"] != "ok"
    ]


if __name__ == "__main__":
    main()
