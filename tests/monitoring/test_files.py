"""What ships is what the program prints, and what Grafana can show."""

import json
import re

import pytest
from typer.testing import CliRunner

from serve_app.cli import app
from serve_app.monitoring.dashboard import COLUMNS, dashboard, dashboard_json, rows
from serve_app.monitoring.expressions import LOCAL, RAY, Source
from tests.monitoring.promtool import ROOT

FILES = ROOT / "helm" / "xtts-serve" / "files"
STALE = "is stale: run `make monitoring`"


def test_shipped_files_are_what_the_program_prints() -> None:
    for command, path in (("dashboard", FILES / "dashboards" / "xtts-serve.json"), ("alerts", FILES / "alerts.yaml")):
        printed = CliRunner().invoke(app, [command])
        assert printed.exit_code == 0, printed.output
        assert path.read_text(encoding="utf-8") == printed.output, f"{path} {STALE}"


def test_commands_print_what_is_for_a_service_without_ray() -> None:
    for command in ("dashboard", "alerts"):
        printed = CliRunner().invoke(app, [command, "--without-ray"]).output
        assert "xtts_slots" in printed and "ray_" not in printed and "application" not in printed


@pytest.mark.parametrize("source", [RAY, LOCAL])
def test_dashboard_is_whole(source: Source) -> None:
    board = dashboard(source)
    assert json.loads(dashboard_json(source)) == board
    assert (board["uid"], board["schemaVersion"]) == ("xtts-serve" if source.is_ray else "xtts-serve-without-ray", 39)
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len(panels) == sum(len(row.panels) for row in rows(source))
    assert [each["id"] for each in board["panels"]] == list(range(1, len(board["panels"]) + 1))
    for panel in panels:
        assert panel["description"].endswith(".") and panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"] and all(target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize("source", [RAY, LOCAL])
def test_panels_lie_beside_each_other(source: Source) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard(source)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("source", [RAY, LOCAL])
def test_every_variable_is_defined_and_used(source: Source) -> None:
    board = dashboard(source)
    used = set(re.findall(r"\$\{?([a-z]\w+)", json.dumps(board["panels"])))
    assert used == {variable["name"] for variable in board["templating"]["list"]}
