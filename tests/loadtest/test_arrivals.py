"""Arrivals are what they are called, and nothing that is under way holds one back."""

import asyncio
import time
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from loadtest.arrivals import Arrival, Constant, Dispatch, Due, Poisson, open_loop, read_trace
from tests.loadtest.virtual_clock import run_virtually


def test_poisson_has_its_rate_and_its_spread() -> None:
    times_s = [each.at_s for each in Poisson(5.0, 4_000.0, Random(1))]
    gaps_s = [later - earlier for earlier, later in pairwise(times_s)]
    mean_s = sum(gaps_s) / len(gaps_s)
    assert mean_s == pytest.approx(0.2, rel=0.03)
    deviation_s = (sum((gap - mean_s) ** 2 for gap in gaps_s) / len(gaps_s)) ** 0.5
    assert deviation_s == pytest.approx(mean_s, rel=0.03)
    assert times_s[-1] < 4_000.0


def test_constant_is_a_metronome() -> None:
    assert [each.at_s for each in Constant(4.0, 1.0)] == [0.0, 0.25, 0.5, 0.75]


def test_trace_of_csv_is_sorted_and_begins_at_zero(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("at_s,num_chars\n12.5,80\n10,\n11,7\n", encoding="utf-8")
    assert read_trace(tmp_path / "a.csv") == [Arrival(0.0), Arrival(1.0, 7), Arrival(2.5, 80)]


def test_trace_of_jsonl(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"at_s": 3}\n\n{"at_s": 4.5, "num_chars": 20}\n', encoding="utf-8")
    assert read_trace(tmp_path / "a.jsonl") == [Arrival(0.0), Arrival(1.5, 20)]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "at_s\n1\nsoon\n", "arrival 2 of"),
        ("a.csv", "when\n1\n", "arrival 1 of"),
        ("a.jsonl", '{"at_s": 1}\n{"at_s"', "arrival 2 of"),
        ("a.jsonl", "[1]\n", "arrival 1 of"),
        ("a.jsonl", '{"at_s": 1, "num_chars": "many"}\n', "arrival 1 of"),
        ("a.jsonl", '{"at_s": NaN}\n', "arrival 1 of"),
        ("a.csv", "at_s\n", "no arrivals"),
    ],
)
def test_trace_that_cannot_be_read_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read_trace(tmp_path / name)


def test_answers_that_do_not_come_hold_nothing_back() -> None:
    sent_s: list[float] = []

    async def stuck() -> Dispatch:
        loop = asyncio.get_running_loop()

        async def send(due: Due) -> None:
            sent_s.append(loop.time() - due.at_s)
            await asyncio.sleep(3_600.0)

        return await open_loop(send, Constant(100.0, 50.0))

    dispatch = run_virtually(stuck())
    assert dispatch.num_sent == len(dispatch.lags_s) == 5_000
    assert max(sent_s) < 1e-6


def test_generator_that_is_late_says_so() -> None:
    async def busy() -> Dispatch:
        async def send(due: Due) -> None:
            time.sleep(0.05)  # noqa: ASYNC251 (what must not happen)

        return await open_loop(send, Constant(100.0, 0.1))

    dispatch = asyncio.run(busy())
    assert max(dispatch.lags_s) > 0.2


def test_length_of_a_trace_comes_with_the_request() -> None:
    found: list[int | None] = []

    async def replay() -> None:
        async def send(due: Due) -> None:
            found.append(due.num_chars)

        await open_loop(send, [Arrival(0.0, 5), Arrival(1.0), Arrival(2.0, 7)])

    run_virtually(replay())
    assert found == [5, None, 7]
