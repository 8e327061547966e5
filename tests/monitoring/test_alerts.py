"""The rules as promtool runs them: every alert fires when it must, and nothing else does."""

from pathlib import Path

import pytest
import yaml

from serve_app.monitoring.alerts import rules, rules_yaml
from serve_app.monitoring.expressions import LOCAL, RAY, Source
from tests.monitoring.promql import SOURCES
from tests.monitoring.promtool import ROOT, Scenario, check, run
from tests.monitoring.scenarios import scenarios

CASES = [
    pytest.param(source, scenario, id=f"{name}: {scenario.name}")
    for name, source in SOURCES.items()
    for scenario in scenarios(source)
]


def alert_names(source: Source) -> list[str]:
    return [rule["alert"] for group in rules(source)["groups"] for rule in group["rules"] if "alert" in rule]


@pytest.mark.parametrize(("source", "scenario"), CASES)
def test_exactly_these_alerts_fire(source: Source, scenario: Scenario, tmp_path: Path) -> None:
    check(source, scenario, tmp_path)


@pytest.mark.parametrize("source", [RAY, LOCAL])
def test_every_alert_has_a_scenario_in_which_it_fires(source: Source) -> None:
    assert {name for scenario in scenarios(source) for name in scenario.fires} == set(alert_names(source))


@pytest.mark.parametrize("source", [RAY, LOCAL])
def test_promtool_accepts_the_rules(source: Source, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(rules_yaml(source), encoding="utf-8")
    result = run("check", "rules", "--lint-fatal", str(tmp_path / "rules.yaml"))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("source", [RAY, LOCAL])
def test_yaml_is_what_was_meant(source: Source) -> None:
    assert yaml.safe_load(rules_yaml(source)) == rules(source)


@pytest.mark.parametrize("source", [RAY, LOCAL])
def test_every_alert_says_what_to_do(source: Source) -> None:
    guide = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for rule in rules(source)["groups"][0]["rules"]:
        if "alert" not in rule:
            continue
        assert rule["labels"]["severity"] in ("critical", "warning")
        page, anchor = rule["annotations"]["runbook_url"].split("#")
        assert page == "docs/operations.md" and anchor == rule["alert"].lower()
        assert f"### {rule['alert']}\n" in guide
        assert rule["annotations"]["summary"] and rule["annotations"]["description"].endswith(".")
