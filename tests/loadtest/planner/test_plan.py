"""The search, prices, the chart's values, and the command as its users call it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from loadtest.__main__ import app
from loadtest.planner.chart_values import as_yaml, chart_values
from loadtest.planner.money import Offer, break_even, cost, cost_per_audio_hour
from loadtest.planner.options import Cluster, Scaling, ServeOptions
from loadtest.planner.outcome import Objective
from loadtest.planner.search import Search, _least, highest_rate_hz
from loadtest.planner.simulation import Scenario, simulate
from loadtest.planner.traffic import Curve, constant
from loadtest.planner.workload import Workload
from serve_app.errors import SettingsError
from tests.loadtest.planner.examples import CPU, GPU, example

CHART = Path(__file__).parents[3] / "helm" / "xtts-serve"
# Half an hour up, half an hour down, slow enough for nodes that come in half a minute.
HILL = Curve(np.array([0.0, 1_800.0, 3_600.0]), np.array([0.5, 3.0, 0.5]))
HILLY = Scenario(
    example().model_copy(update={"slots": 6}),
    HILL,
    Workload(),
    Scaling(1, 1, upscale_delay_s=5.0, downscale_delay_s=60.0),
    Cluster(node_start_s=10.0, node_idle_s=30.0),
)


def quiet(_: str) -> None:
    pass


def test_the_least_is_found() -> None:
    assert [_least(1, 100, lambda count, most=most: count >= most) for most in (1, 2, 57, 100)] == [1, 2, 57, 100]


@pytest.mark.slow
def test_the_fixed_fleet_is_the_least_and_the_autoscaled_one_is_cheaper() -> None:
    objective = Objective()
    search = Search(HILLY, objective, 1, quiet)
    fixed = search.fixed()
    number = fixed.scaling.min_replicas
    assert fixed.scaling.is_fixed and fixed.outcome.keeps(objective)
    assert not simulate(replace(HILLY, scaling=Scaling.fixed(number - 1))).keeps(objective)
    autoscaled = search.autoscaled(fixed)
    assert autoscaled is not None and autoscaled.outcome.keeps(objective)
    assert autoscaled.scaling.min_replicas < number <= autoscaled.scaling.max_replicas
    assert autoscaled.outcome.paid_s < fixed.outcome.paid_s
    assert cost(fixed.outcome, 2.0) == pytest.approx(number * 2.0)
    assert cost_per_audio_hour(fixed.outcome, 2.0) > cost_per_audio_hour(autoscaled.outcome, 2.0)


def test_an_objective_that_nothing_keeps_is_an_error() -> None:
    search = Search(replace(HILLY, curve=constant(1.0, 120.0)), Objective(ttfa_p95_s=0.01), 1, quiet)
    with pytest.raises(SettingsError, match="relax it"):
        search.fixed(most=16)


def test_one_replica_carries_its_highest_rate_and_little_more() -> None:
    made, objective = replace(HILLY, curve=constant(1.0, 60.0)), Objective()
    rate_hz = highest_rate_hz(made, objective)
    alone = replace(made, scaling=Scaling.fixed(1))
    assert simulate(replace(alone, curve=constant(rate_hz, 900.0))).keeps(objective)
    assert not simulate(replace(alone, curve=constant(1.3 * rate_hz, 900.0))).keeps(objective)


def test_break_even_is_where_the_larger_machine_wins_for_good() -> None:
    small, large = Offer("small", 1.0, 1.0), Offer("large", 10.0, 8.0)
    found = break_even(small, large)
    assert (found.cheaper, found.rate_hz) == (large, pytest.approx(31.0))
    for rate_hz in np.arange(31.01, 400.0, 0.05):
        assert large.fleet_price(rate_hz) <= small.fleet_price(rate_hz)
    assert large.fleet_price(31.0) > small.fleet_price(31.0)
    assert break_even(large, small) == found


def test_break_even_at_any_traffic_and_at_none() -> None:
    assert break_even(Offer("a", 1.0, 1.0), Offer("b", 1.0, 2.0)).rate_hz == 0.0
    assert break_even(Offer("a", 1.0, 1.0), Offer("b", 2.0, 2.0)).rate_hz is None


def test_values_are_the_chart_s_and_mean_what_was_simulated() -> None:
    scaling = Scaling(2, 7, upscale_delay_s=9.0, downscale_delay_s=400.0)
    values = chart_values(example(), scaling, Cluster(num_ingresses=3))
    assert yaml.safe_load(as_yaml(values)) == values
    jsonschema.validate(values, _without_required(json.loads((CHART / "values.schema.json").read_text())))
    ours = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["engine"].keys() <= ours["engine"].keys()
    assert values["rayservice"]["autoscaler"].keys() <= ours["rayservice"]["autoscaler"].keys()
    options = ServeOptions.of(example(), scaling, Cluster(num_ingresses=3)).autoscaling
    assert values["settings"]["upscale_delay_s"] == options.upscale_delay_s
    assert values["settings"]["downscale_delay_s"] == options.downscale_delay_s
    assert (values["engine"]["minReplicas"], values["engine"]["maxReplicas"]) == (2, 7)


def _without_required(schema: object) -> object:
    if isinstance(schema, dict):
        return {name: _without_required(each) for name, each in schema.items() if name != "required"}
    return [_without_required(each) for each in schema] if isinstance(schema, list) else schema


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["plan", *arguments])
    return result.exit_code, result.output


@pytest.mark.slow
def test_the_command_finds_a_fleet_and_writes_what_it_found(tmp_path: Path) -> None:
    code, output = run(
        *(str(CPU), "--rate", "0.5", "--minutes", "4", "--price", "0.2", "--lose", "0.5", "--out", str(tmp_path)),
        *("--against", str(GPU), "--against-price", "2.5"),
    )
    assert code == 0, output
    for part in ("| fixed | ", "requests/s within the objective", "an hour of 100 replicas takes", "Break-even"):
        assert part in output
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["fleets"]["fixed"]["keeps_objective"] is True
    assert plan["values"]["engine"]["minReplicas"] == plan["values"]["engine"]["maxReplicas"]
    assert plan["struck"]["fixed"]["endings"]["lost"] >= 0
    assert plan["target_ongoing_requests"] == 12.0
    assert yaml.safe_load((tmp_path / "values.yaml").read_text()) == plan["values"]
    assert (tmp_path / "fixed.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "fixed-failure.png").is_file()


def test_the_command_looks_at_a_given_fleet(tmp_path: Path) -> None:
    code, output = run(
        str(CPU), "--shape", "spike", "--rate", "0.3", "--peak", "2", "--minutes", "6", "--replicas", "1-4"
    )
    assert code == 0, output
    assert "| given | 1 to " in output and "minReplicas: 1" in output and "maxReplicas: 4" in output


@pytest.mark.parametrize(
    "arguments",
    [("none.json",), (str(CPU), "--shape", "square"), (str(CPU), "--replicas", "4-2"), (str(CPU), "--replicas", "few")],
)
def test_the_command_says_what_is_wrong(arguments: tuple[str, ...]) -> None:
    code, output = run(*arguments)
    assert code == 2
    assert len(output.splitlines()) == 1 and "Traceback" not in output


@pytest.mark.slow
def test_other_commands_load_no_planner() -> None:
    code = (
        "import sys, loadtest.__main__; print(*(name for name in sys.modules if name.startswith('loadtest.planner')))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert sorted(out.split()) == [
        "loadtest.planner",
        "loadtest.planner.calibrate_command",
        "loadtest.planner.command",
        "loadtest.planner.measure_command",
    ]
