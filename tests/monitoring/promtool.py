"""promtool on our rules: what fires, given series."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from serve_app.monitoring.alerts import rules_yaml
from serve_app.monitoring.expressions import Source

ROOT = Path(__file__).parents[2]
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'


@dataclass(frozen=True)
class Scenario:
    """`series`: what is there → its values in promtool's notation, one each `interval`."""

    name: str
    series: Mapping[str, str]
    at: str
    fires: frozenset[str] = field(default=frozenset())
    interval: str = "15s"

    @property
    def evaluated(self) -> str:
        """How often. Days take long enough."""
        return "1m" if self.interval == "15s" else "5m"


@cache
def promtool() -> str:
    """Its path, or the test is skipped."""
    found = shutil.which("promtool") or shutil.which("promtool", path=str(ROOT / "build" / "prometheus"))
    if found is None:
        pytest.skip("there is no promtool: run scripts/get-prometheus build/prometheus")
    return found


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([promtool(), *arguments], capture_output=True, text=True, timeout=120.0, check=False)


def check(source: Source, scenario: Scenario, directory: Path) -> None:
    """Exactly the scenario's alerts fire at its time."""
    (directory / "rules.yaml").write_text(rules_yaml(source), encoding="utf-8")
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(scenario.fires)]
    test = {
        "interval": scenario.interval,
        "input_series": [{"series": series, "values": values} for series, values in scenario.series.items()],
        "promql_expr_test": [{"expr": FIRING, "eval_time": scenario.at, "exp_samples": expected}],
    }
    content = {"rule_files": ["rules.yaml"], "evaluation_interval": scenario.evaluated, "tests": [test]}
    (directory / "test.yaml").write_text(json.dumps(content), encoding="utf-8")  # which is YAML, too
    result = run("test", "rules", str(directory / "test.yaml"))
    assert result.returncode == 0, result.stdout + result.stderr
