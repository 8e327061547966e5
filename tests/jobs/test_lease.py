"""Leases: one holder at a time, dead ones are taken over, and whoever was thought dead notices."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serve_app.jobs.lease import Lease, Leases


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def process(clock: Clock) -> Leases:
    return Leases(30.0, clock)


def claimed(leases: Leases, folder: Path) -> Lease:
    lease = leases.claim(folder)
    assert lease is not None
    return lease


def test_second_claim_is_refused_while_the_first_is_renewed(tmp_path: Path, clock: Clock) -> None:
    first, second = process(clock), process(clock)
    lease = claimed(first, tmp_path)
    for _ in range(10):
        assert second.claim(tmp_path) is None
        clock.now_s += 20.0
        os.utime(lease.path, ns=(0, int(clock.now_s * 1e9)))
    assert first.renew(lease)


def test_released_lease_is_free_at_once(tmp_path: Path, clock: Clock) -> None:
    first, second = process(clock), process(clock)
    first.release(claimed(first, tmp_path))
    assert second.claim(tmp_path) is not None


def test_dead_lease_is_taken_over_after_its_time_and_not_before(tmp_path: Path, clock: Clock) -> None:
    claimed(process(clock), tmp_path)
    second = process(clock)
    assert second.claim(tmp_path) is None
    clock.now_s += 29.0
    assert second.claim(tmp_path) is None
    clock.now_s += 1.0
    assert second.claim(tmp_path) is not None


def test_clock_that_is_years_off_kills_no_living_lease(tmp_path: Path, clock: Clock) -> None:
    """The file's time is another machine's; only that it moves counts."""
    lease = claimed(process(clock), tmp_path)
    os.utime(lease.path, (0, 0))
    second = process(clock)
    assert second.claim(tmp_path) is None
    clock.now_s += 25.0
    os.utime(lease.path, (5, 5))
    assert second.claim(tmp_path) is None
    clock.now_s += 25.0
    assert second.claim(tmp_path) is None


def test_who_was_thought_dead_notices(tmp_path: Path, clock: Clock) -> None:
    first, second = process(clock), process(clock)
    old = claimed(first, tmp_path)
    second.claim(tmp_path)
    clock.now_s += 30.0
    new = claimed(second, tmp_path)
    assert not first.renew(old) and second.renew(new)
    first.release(old)  # which takes nothing from the new holder
    assert second.renew(new)


def test_lease_of_a_removed_folder_is_lost(tmp_path: Path, clock: Clock) -> None:
    leases = process(clock)
    folder = tmp_path / "job"
    folder.mkdir()
    lease = claimed(leases, folder)
    folder.rename(tmp_path / "gone")
    assert not leases.renew(lease)


def test_of_many_who_claim_at_once_one_gets_it(tmp_path: Path, clock: Clock) -> None:
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        processes = [process(clock) for _ in range(8)]
        with ThreadPoolExecutor(8) as threads:
            got = list(threads.map(lambda leases, folder=folder: leases.claim(folder), processes))
        assert sum(lease is not None for lease in got) == 1


def test_of_many_who_take_over_at_once_one_gets_it(tmp_path: Path, clock: Clock) -> None:
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        claimed(process(clock), folder)
        processes = [process(clock) for _ in range(8)]
        assert [leases.claim(folder) for leases in processes] == [None] * 8
        clock.now_s += 30.0
        with ThreadPoolExecutor(8) as threads:
            got = list(threads.map(lambda leases, folder=folder: leases.claim(folder), processes))
        assert sum(lease is not None for lease in got) == 1
