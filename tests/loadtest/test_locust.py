"""Locust's users against the real service: each hears speech, and the tables have a row for all that can be slow."""

import csv
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.server import RunningService, serving
from serve_app.settings import make_settings
from tests.loadtest.faulty import Faults, faulty_service
from tests.voices.recordings import recording_path

ROOT = Path(__file__).parents[2]
LOCUST = ROOT / ".venv-load" / "bin" / "locust"
USERS = "loadtest/locustfile.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LOCUST.exists(), reason="Locust is not installed: `make test-slow` and `make locust` do it"),
]

SPOKEN = {"speech", "first audio", "largest gap", "RTF, thousandths"}
KINDS = {
    "StreamingUser": ("stream", SPOKEN),
    "OneShotUser": ("whole", SPOKEN - {"largest gap"}),
    "WebSocketUser": ("websocket", SPOKEN),
    "DialogueUser": ("dialogue", SPOKEN),
    "CloningUser": ("cloned", SPOKEN | {"voice made", "voice gone"}),
    "LeavingUser": ("leaving", {"left"}),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    settings = make_settings(model="synthetic:tiny", dtype="float32", num_threads=1)
    with serving(settings, tmp_path_factory.mktemp("service"), is_ray=False) as found:
        yield found


def rows(host: str, folder: Path, *args: str, files: str = USERS) -> dict[tuple[str, str], dict[str, str]]:
    """(type, name) → Locust's statistics. It must end without a failure."""
    command = [LOCUST, "-f", files, "--headless", "--host", host, "--csv", folder / "found"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LOADTEST_RECORDING": str(recording_path())}
    finished = subprocess.run(
        [*command, "--only-summary", "--think", "0.1", *args],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr, finished.stderr
    with (folder / "found_stats.csv").open(encoding="utf-8") as file:
        return {(row["Type"], row["Name"]): row for row in csv.DictReader(file) if row["Name"] != "Aggregated"}


@pytest.mark.parametrize("user", KINDS)
def test_user_is_heard(user: str, service: RunningService, tmp_path: Path) -> None:
    name, expected = KINDS[user]
    found = rows(str(service.address), tmp_path, "-u", "2", "-r", "2", "-t", "8s", user)
    assert {kind for kind, _ in found} - {"underrun"} >= expected
    assert {each for _, each in found} == {name}
    assert all(int(row["Request Count"]) > 0 and row["Failure Count"] == "0" for row in found.values())


def test_new_voices_have_rows_of_their_own(service: RunningService, tmp_path: Path) -> None:
    found = rows(
        str(service.address), tmp_path, "-u", "3", "-r", "3", "-t", "12s", "--preset", "mixed", "StreamingUser"
    )
    assert ("first audio", "stream, new voice") in found


def test_storm_of_leavers_comes_and_goes(service: RunningService, tmp_path: Path) -> None:
    shape = ["--shape-users", "4", "--shape-seconds", "4", "StreamingUser", "LeavingUser"]
    found = rows(str(service.address), tmp_path, *shape, files=f"{USERS},loadtest/shapes/storm.py")
    assert ("left", "leaving") in found and ("speech", "stream") in found


def test_service_that_is_full_is_told_apart_from_one_that_fails(tmp_path: Path) -> None:
    with faulty_service(Faults(), max_streams=1, chunk_delay_s=0.02) as full:
        found = rows(str(full.address), tmp_path, "-u", "4", "-r", "4", "-t", "6s", "StreamingUser")
    assert int(found["429", "stream"]["Request Count"]) > 0
    assert found["speech", "stream"]["Failure Count"] == "0"


def test_cut_speech_is_a_failure(tmp_path: Path) -> None:
    with faulty_service(Faults(is_cut=True)) as broken, pytest.raises(AssertionError, match="cut after"):
        rows(str(broken.address), tmp_path, "-u", "2", "-r", "2", "-t", "4s", "StreamingUser")
