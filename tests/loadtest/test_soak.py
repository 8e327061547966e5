"""The soak passes a sound service and fails one with a fault, whichever the fault is."""

import asyncio
import threading
from dataclasses import replace

import pytest

from loadtest import soak
from loadtest.judgement import Outcome
from loadtest.soak import Echo, Record, Soak, SoakOptions
from loadtest.soak_report import soak_checks, soak_json, soak_lines
from loadtest.verdict import Check
from tests.loadtest.faulty import Faults, FaultyService, faulty_service

pytestmark = pytest.mark.slow

SHORT = SoakOptions(
    minutes=0.05,
    warm_up_s=0.2,
    rest_s=0.0,
    rate_hz=40.0,
    num_filling_voices=2,
    deadline_s=20.0,
    num_replayed=3,
)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"READING_PERIOD_S": 0.0, "IDLE_TIMEOUT_S": 1.0, "GRACE_S": 0.1, "SAMPLE_PERIOD_S": 0.5}.items():
        monkeypatch.setattr(soak, name, value)


def run(service: FaultyService, options: SoakOptions = SHORT) -> tuple[Record, list[Check]]:
    record = asyncio.run(Soak(service, options, lambda line: None).run())
    return record, soak_checks(record, options)


def failed(checks: list[Check]) -> dict[str, str]:
    return {each.name: each.found for each in checks if not each.is_ok}


def test_sound_service_passes() -> None:
    with faulty_service(Faults()) as service:
        record, checks = run(service)
    assert failed(checks) == {}
    assert sum(sum(each.values()) for each in record.outcomes.values()) > 60
    lines = "\n".join(soak_lines(record, SHORT))
    assert "FAILED" not in lines and "| known |" in lines
    assert len(soak_json(record, SHORT)["checks"]) == len(checks)


@pytest.mark.parametrize(
    ("faults", "check", "found"),
    [
        (Faults(has_wrong_audio=True), "every answer is as it must be", "other audio than the same request alone"),
        (Faults(is_cut=True), "every answer is as it must be", "cut after"),
        (Faults(hangs=True), "every answer is as it must be", "hung for 2."),
        (Faults(has_wrong_id=True), "every answer is as it must be", "answered as another"),
        (Faults(accepts_bad_input=True), "every answer is as it must be", "in place of"),
        (Faults(leak_bytes=2**20), "memory returns (+5 %)", "engine"),
        (Faults(leaked_files=1), "files are closed", "→"),
        (Faults(keeps_slots=True), "no slot, queue or request stays", "slots_used 1.0"),
        (Faults(log=["Traceback"]), "the log tells of no error", "1 lines"),
    ],
    ids=lambda value: "",
)
def test_faulty_service_fails(faults: Faults, check: str, found: str) -> None:
    """The first answers are sound, so that what is learnt is right."""
    faults.is_struck = lambda number: number > 45 and number % 9 == 0
    if faults.accepts_bad_input:
        faults.is_struck = lambda number: True
    with faulty_service(faults) as service:
        _, checks = run(service, replace(SHORT, deadline_s=2.0) if faults.hangs else SHORT)
    assert found in failed(checks)[check]


def test_wrong_audio_in_a_new_voice_is_found_when_it_is_asked_again() -> None:
    faults = Faults()
    with faulty_service(faults) as service:
        soaking = Soak(service, SHORT, lambda line: faults.__setattr__("has_wrong_audio", "again, alone" in line))
        faults.is_struck = lambda number: True
        record = asyncio.run(soaking.run())
    assert any("replayed" in fault and "other audio" in fault for fault in record.faults)


def test_kill_explains_what_it_broke() -> None:
    options = replace(SHORT, kill_every_s=1.0)
    with faulty_service(Faults()) as service:
        record = asyncio.run(Soak(service, options, slow_from_the_soak_on(service)).run())
        assert service.num_kills == len(options.kills_s) == 2
    assert failed(soak_checks(record, options)) == {}
    assert len(record.recoveries_s) == 2 and min(record.recoveries_s) > 0.4
    assert sum(each[Outcome.UNAVAILABLE] + each[Outcome.CUT] for each in record.outcomes.values()) > 0


def test_death_that_nobody_caused_is_a_fault() -> None:
    with faulty_service(Faults()) as service:
        slow = slow_from_the_soak_on(service)

        def kill_too(line: str) -> None:
            slow(line)
            if line.startswith("soaking"):
                threading.Timer(0.5, service.kill_engine).start()

        record = asyncio.run(Soak(service, SHORT, kill_too).run())
    assert any("503, and no engine was killed" in fault or "cut after" in fault for fault in record.faults)


def slow_from_the_soak_on(service: FaultyService) -> Echo:
    """So that streams are under way when an engine dies, and what goes before takes no time."""

    def echo(line: str) -> None:
        service.engine.configure(chunk_delay_s=0.01 if line.startswith("soaking") else 0.0)

    return echo


def test_service_that_refuses_everyone_fails() -> None:
    with faulty_service(Faults()) as service:
        soaking = Soak(
            service, SHORT, lambda line: service.engine.configure(max_streams=0 if "soaking" in line else 99)
        )
        record = asyncio.run(soaking.run())
    assert "audio is served" in failed(soak_checks(record, SHORT))
