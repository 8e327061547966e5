"""Scale-out: engines sleep as they are told, what is added is told apart from it, and a poor result fails."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from loadtest import scale_out_report
from loadtest.ingress_parts import part_lines
from loadtest.scale_out import CHUNK_BYTES, Level, Load, ScaleOptions, _take
from loadtest.scale_out_report import scale_checks, scale_lines
from loadtest.sleeping import Plan, SleepingService
from loadtest.wire import Answer, End
from serve_app.speech.request import AudioChunk, one_turn

QUICK = Plan(first_s=0.1, period_s=0.05, num_chunks=3)


async def _heard(chunks: AsyncGenerator[AudioChunk]) -> list[float]:
    """When each chunk came."""
    return [time.monotonic() async for _ in chunks]


def test_engine_sleeps_as_planned_in_as_many_slots_as_it_has() -> None:
    async def three() -> list[list[float]]:
        service = SleepingService(2, QUICK)
        streams = (_heard(service.stream(one_turn("text", "en"))) for _ in range(3))
        return list(await asyncio.gather(*streams))

    started_s = time.monotonic()
    first, second, third = ([at_s - started_s for at_s in times] for times in asyncio.run(three()))
    for times in (first, second):
        assert all(planned_s <= at_s < planned_s + 0.5 for planned_s, at_s in zip((0.1, 0.15, 0.2), times, strict=True))
    assert third[0] >= 0.2 + 0.1  # after the slot of another was free


def _answer(*reads: tuple[float, int], status: int = 200) -> Answer:
    body = bytearray(reads[-1][1])
    return Answer(10.0, End.COMPLETE, status, body=body, reads=list(reads))


def test_what_is_added_is_counted_when_a_chunk_is_whole() -> None:
    half = CHUNK_BYTES // 2
    reads = ((10.11, CHUNK_BYTES), (10.16, CHUNK_BYTES + half), (10.17, 2 * CHUNK_BYTES), (10.23, 3 * CHUNK_BYTES))
    load = Load()
    _take(load, _answer(*reads), QUICK, 0.0, 20.0)
    assert load.first_added_s == pytest.approx([0.01])
    assert load.chunk_added_s == pytest.approx([0.02, 0.03])
    assert load.audio_s == pytest.approx(1.5)
    assert load.faults == []


def test_only_what_came_while_it_was_steady_counts() -> None:
    load = Load()
    _take(load, _answer((10.1, CHUNK_BYTES), (10.2, 3 * CHUNK_BYTES)), QUICK, 10.15, 20.0)
    assert load.audio_s == pytest.approx(1.0)
    assert load.first_added_s == [] and len(load.chunk_added_s) == 2


@pytest.mark.parametrize("answer", [_answer((10.1, CHUNK_BYTES)), _answer((10.1, 3 * CHUNK_BYTES), status=429)])
def test_other_answers_are_faults(answer: Answer) -> None:
    load = Load()
    _take(load, answer, QUICK, 0.0, 20.0)
    assert len(load.faults) == 1 and load.audio_s == 0.0


def _level(num_replicas: int, audio_s: float, busy_cores: float = 0.5) -> Level:
    return Level(num_replicas, Load(10.0, audio_s, busy_cores=busy_cores), Load(10.0, audio_s))


def _failed(*levels: Level) -> list[str]:
    return [each.name for each in scale_checks(levels) if not each.is_ok]


def test_less_than_linear_fails_unless_cores_are_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_out_report, "num_cores", lambda: 2)
    assert _failed(_level(1, 100.0), _level(2, 192.0), _level(4, 384.0)) == []
    assert _failed(_level(1, 100.0), _level(2, 188.0)) == ["2 replicas do 95% of linear, or cores are full"]
    full = _level(4, 300.0, busy_cores=1.9)
    assert _failed(_level(1, 100.0), full) == []
    assert "1.90 of 2, full" in "\n".join(scale_lines([_level(1, 100.0), full], ScaleOptions()))
    faulty = _level(1, 100.0)
    faulty.half.faults.append("cut")
    assert _failed(faulty) == ["1 replicas answer everything"]


@pytest.mark.slow
def test_parts_of_an_ingress_are_told() -> None:
    lines = "\n".join(part_lines())
    assert "| encoded as opus |" in lines and "the whole application" in lines


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_two_replicas_do_twice_as_much_as_one(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    sleep = ("--first", "0.5", "--period", "0.5", "--chunks", "4", "--slots", "4", "--seconds", "12")
    command = [sys.executable, "-m", "loadtest", "scale-out", "--replicas", "1,2", *sleep, "--json", str(found)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=580)
    assert run.returncode == 0, run.stdout + run.stderr
    one, two = json.loads(found.read_text(encoding="utf-8"))["scale_out"]["levels"]
    assert one["of_slots"] > 0.85 and two["of_linear"] > 0.9
    assert 0.0 < one["added_ms"]["first"]["p50"] < 500.0
    assert one["cpu_ms_per_audio_s"]["ingress"] > 0.0
