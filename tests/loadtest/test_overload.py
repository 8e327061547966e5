"""The overload passes a service that refuses at once, and fails one that is late, silent or wrong."""

import asyncio

import pytest

from loadtest.overload import Overload, OverloadOptions, OverloadRecord
from loadtest.overload_report import overload_checks, overload_json, overload_lines
from tests.loadtest.faulty import Faults, FaultyService, faulty_service

pytestmark = pytest.mark.slow

CHUNK_DELAY_S = 0.008  # of about 37 chunks: a few requests a second
# The fake has no queue; a place is slack for first audio, which all of these threads share a processor for.
SHORT = OverloadOptions(
    num_slots=2, num_places=1, levels=(1, 2), level_s=1.5, storm_s=6.0, deadline_s=3.0, recovery_s=5.0
)


def run(service: FaultyService) -> OverloadRecord:
    return asyncio.run(Overload(service, SHORT, lambda line: None).run())


def failed(record: OverloadRecord) -> dict[str, str]:
    return {each.name: each.found for each in overload_checks(record, SHORT) if not each.is_ok}


def test_service_that_refuses_at_once_passes() -> None:
    with faulty_service(Faults(), max_streams=2, chunk_delay_s=CHUNK_DELAY_S) as service:
        record = run(service)
    assert failed(record) == {}
    lines = "\n".join(overload_lines(record, SHORT))
    assert "knee" in lines and "429, whole" in lines
    assert overload_json(record, SHORT)["outcomes"]["429"] > 20


@pytest.mark.parametrize(
    ("faults", "check", "found"),
    [
        (Faults(lacks_retry_after=True), "every answer is audio or a whole 429", "Retry-After is ''"),
        (Faults(has_wrong_audio=True), "every answer is audio or a whole 429", "other audio"),
        (Faults(hangs=True), "every answer is audio or a whole 429", "hung for 3."),
        (Faults(refusal_delay_s=0.4), "refused at once (p99)", "at most 250"),
    ],
    ids=lambda value: "",
)
def test_faulty_service_fails(faults: Faults, check: str, found: str) -> None:
    faults.is_struck = lambda number: number > 20 and number % 9 == 0
    with faulty_service(faults, max_streams=2, chunk_delay_s=CHUNK_DELAY_S) as service:
        record = run(service)
    assert found in failed(record)[check]


def test_service_that_refuses_nobody_fails() -> None:
    with faulty_service(Faults(), chunk_delay_s=CHUNK_DELAY_S) as service:
        record = run(service)
    assert "enough are refused to judge by" in failed(record)
