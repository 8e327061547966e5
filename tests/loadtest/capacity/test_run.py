"""The whole test, against a service in this process and against the real one."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from loadtest.__main__ import app
from loadtest.capacity.files import load, save
from loadtest.capacity.objective import Objective
from loadtest.capacity.page import page
from loadtest.capacity.run import Capacity, CapacityOptions, CapacityRecord
from loadtest.capacity.summary import Loop
from loadtest.recordings import new_recording
from loadtest.target import RemoteTarget, parse_address
from loadtest.wire import Address
from serve_app.errors import StartupError
from tests.loadtest.faulty import Faults, FaultyService, faulty_service

SHORT = CapacityOptions(
    objective=Objective(ttfa_p95_s=0.3), max_at_once=4, max_tries=2, stage_s=0.8, settle_s=0.1, deadline_s=5.0
)


def measure(service: FaultyService, options: CapacityOptions = SHORT) -> CapacityRecord:
    return asyncio.run(Capacity(RemoteTarget(service.address), options, lambda line: None, new_recording).run())


@pytest.fixture(scope="module")
def record() -> CapacityRecord:
    with faulty_service(Faults(), chunk_delay_s=0.01) as service:
        return measure(service)


def test_levels_and_rates_are_measured(record: CapacityRecord) -> None:
    closed, opened = record.summaries(Loop.CLOSED), record.summaries(Loop.OPEN)
    assert [each.level for each in closed] == [1, 2, 4] and 1 <= len(opened) <= 2
    assert closed[0].audio_s_per_s < closed[-1].audio_s_per_s
    assert record.highest is not None and record.highest.ttfa_s.p95 is not None and record.highest.ttfa_s.p95 < 0.3
    assert all(each.num_errors == 0 for each in (*closed, *opened))


def test_files_hold_all_that_was_measured(record: CapacityRecord, tmp_path: Path) -> None:
    save(record, tmp_path)
    again = load(tmp_path)
    assert again.options == record.options
    for loop in Loop:
        for read, measured in zip(again.summaries(loop), record.summaries(loop), strict=True):
            assert (read.level, read.num_requests, read.endings) == (
                measured.level,
                measured.num_requests,
                measured.endings,
            )
            assert read.ttfa_s.p95 == pytest.approx(measured.ttfa_s.p95, abs=1e-5)
            assert read.audio_s_per_s == pytest.approx(measured.audio_s_per_s, abs=1e-3)


@pytest.mark.parametrize("text", ["{}", "[", '{"stages": [], "options": {"left": 1}}'])
def test_files_of_something_else_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(text, encoding="utf-8")
    (tmp_path / "requests.jsonl.gz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"."):
        load(tmp_path)


def test_page_loads_nothing_and_tells_the_figures(record: CapacityRecord) -> None:
    text = page(record)
    assert record.highest is not None
    assert f"<strong>{record.highest.offered_hz:.3g}</strong>" in text
    assert text.count("<svg") == 5 and text.count("<tr") == 2 + len(record.stages)
    assert not re.search(r"(src|href)=\"?http|@import|<script|url\(http", text)


def test_page_compares_with_an_earlier_run(record: CapacityRecord) -> None:
    text = page(record, record)
    assert "Against the earlier run" in text and text.count("<td>+0%</td>") == 2 + len(record.summaries(Loop.CLOSED))


def test_page_of_a_service_that_keeps_nothing(record: CapacityRecord) -> None:
    strict = CapacityRecord(CapacityOptions(objective=Objective(ttfa_p95_s=1e-6)), record.facts, record.stages)
    assert strict.highest is None
    assert "<strong>none</strong>" in page(strict)


@pytest.mark.slow
def test_full_service_is_told_apart_from_a_broken_one() -> None:
    with faulty_service(Faults(), max_streams=1, chunk_delay_s=0.01) as service:
        full = measure(service)
    assert any(each.endings.get("busy") for each in full.summaries(Loop.CLOSED))
    with faulty_service(
        Faults(lambda number: number > 9 and number % 5 == 0, is_cut=True), chunk_delay_s=0.01
    ) as service:
        broken = measure(service)
    assert any(each.endings.get("cut") for each in broken.summaries(Loop.CLOSED)) and "cut after" in page(broken)


def test_nobody_clones_without_a_recording() -> None:
    options = replace(SHORT, max_at_once=1, max_tries=1)
    with faulty_service(Faults()) as service:
        asyncio.run(Capacity(RemoteTarget(service.address), options, lambda line: None).run())
    assert service.engine.requests and all(each.turns[0].voice.reference is None for each in service.engine.requests)


def test_service_that_does_not_answer_is_told_at_once() -> None:
    with faulty_service(Faults()) as service:
        address = service.address
    with pytest.raises(StartupError, match="did not answer"):
        asyncio.run(Capacity(RemoteTarget(address), SHORT, lambda line: None).run())


def test_addresses() -> None:
    assert parse_address("http://tts.example.com:8100") == Address(8100, "tts.example.com")
    assert parse_address("https://tts.example.com") == Address(443, "tts.example.com", is_tls=True)
    assert parse_address("localhost:8100") == Address(8100, "localhost")
    for wrong in ("ftp://host", "http://", ""):
        with pytest.raises(ValueError, match="no address"):
            parse_address(wrong)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--workload", "jazz"), "none of chat"),
        (("--url", "http://127.0.0.1:1", "--model", "mini"), "stands already"),
        (("--url", "ftp://host"), "no address"),
        (("--against", "nowhere"), "nowhere"),
        (("--recording", "nowhere.wav"), "nowhere.wav"),
    ],
)
def test_wrong_options_are_told(arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, ["capacity", *arguments])
    assert result.exit_code == 2 and said in " ".join(result.output.split())


@pytest.mark.parametrize(
    "mode", [pytest.param("--local", marks=pytest.mark.slow), pytest.param("--ray", marks=pytest.mark.long)]
)
def test_command_measures_the_real_service(mode: str, tmp_path: Path) -> None:
    options = ["--model", "synthetic:tiny", "--seconds", "2", "--max-at-once", "2", "--tries", "2", "--exact", mode]
    found = CliRunner().invoke(app, ["capacity", *options, "--out", str(tmp_path)])
    assert found.exit_code == 0, found.output
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["differences"] == [] and result["facts"]["model"] == "synthetic:tiny"
    # A short stage of an open loop may meet no request at all, and then nothing is computed.
    assert all(stage["summary"]["endings"].keys() <= {"ok"} for stage in result["stages"])
    busy = [stage["summary"] for stage in result["stages"] if stage["summary"]["loop"] == "closed"]
    assert len(busy) >= 2
    assert all(summary["endings"]["ok"] > 0 and summary["means"]["CPU, cores"] > 0.2 for summary in busy)
    if mode == "--local":  # with Ray a replica reports every ten seconds only
        assert all(summary["means"]["rows in a step"] >= 1.0 for summary in busy)


@pytest.mark.slow
def test_command_compares_with_an_earlier_run(record: CapacityRecord, tmp_path: Path) -> None:
    save(record, tmp_path / "earlier")
    with faulty_service(Faults(), chunk_delay_s=0.01) as service:
        options = ["--url", str(service.address), "--seconds", "1", "--max-at-once", "1", "--tries", "1"]
        found = CliRunner().invoke(
            app, ["capacity", *options, "--against", str(tmp_path / "earlier"), "--out", str(tmp_path)]
        )
    assert found.exit_code == 0, found.output
    assert "Against the earlier run" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_command_that_is_told_to_end_takes_its_service_along(tmp_path: Path) -> None:
    options = ["--model", "synthetic:tiny", "--out", str(tmp_path)]
    command = subprocess.Popen([sys.executable, "-m", "serve_app", "capacity", *options], stdout=subprocess.DEVNULL)
    children: list[psutil.Process] = []
    while not children:
        assert command.poll() is None
        time.sleep(0.2)
        children = psutil.Process(command.pid).children()
    command.terminate()
    assert command.wait(timeout=60.0) == 128 + signal.SIGTERM
    assert not any(child.is_running() for child in children)
