"""The load, the processes' CPU and memory, and the servers that are started."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serve_app.bench.process_tree import ProcessTree, PssWatch
from serve_app.bench.serve_process import environment
from serve_app.bench.sides import Load, OverHttp, SpeechJob, drive
from serve_app.errors import StartupError
from serve_app.settings import Settings

JOBS = tuple(SpeechJob("x" * size, "en", size) for size in (5, 1, 3, 2, 4))
BUSY = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint('busy', flush=True)\nsys.stdin.read()"


class Speaker:
    """A block of 100 samples for each letter, and how many speak at once."""

    def __init__(self) -> None:
        self.num_open = self.most_open = 0

    async def speak(self, job: SpeechJob, is_streaming: bool) -> AsyncGenerator[int]:
        self.num_open += 1
        self.most_open = max(self.most_open, self.num_open)
        try:
            for _ in job.text if is_streaming else "x":
                await asyncio.sleep(0.01)
                yield 100 if is_streaming else 100 * len(job.text)
        finally:
            self.num_open -= 1


@pytest.mark.parametrize("is_streaming", [True, False])
def test_load_keeps_its_level_and_the_jobs_order(is_streaming: bool) -> None:
    speaker = Speaker()
    outcome = asyncio.run(drive(speaker.speak, Load(JOBS, num_at_once=3, is_streaming=is_streaming)))
    assert [each.num_samples for each in outcome.spoken] == [500, 100, 300, 200, 400]
    assert outcome.num_samples == 1_500
    assert speaker.most_open == 3 and speaker.num_open == 0
    assert all(0.01 <= each.first_audio_s < outcome.wall_s for each in outcome.spoken)
    gaps = [each.largest_gap_s for each in outcome.spoken]
    assert gaps[1] == 0.0 and all((0.01 <= gap < outcome.wall_s) is is_streaming for gap in (*gaps[:1], *gaps[2:]))


def test_probe_leaves_at_first_audio() -> None:
    speaker = Speaker()
    outcome = asyncio.run(drive(speaker.speak, Load(JOBS[:2], is_probe=True)))
    assert [each.num_samples for each in outcome.spoken] == [100, 100]
    assert speaker.num_open == 0


@contextmanager
def busy(*arguments: str) -> Generator["subprocess.Popen[str]"]:
    """A child that has used 0.3 s of CPU."""
    command = [sys.executable, "-c", BUSY, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        yield process
        process.kill()


def test_cpu_of_descendants_is_counted() -> None:
    before_s = ProcessTree(os.getpid()).cpu_s()["engine"]
    with busy() as process:
        assert ProcessTree(process.pid).cpu_s()["engine"] == pytest.approx(0.33, abs=0.05)
        assert ProcessTree(os.getpid()).cpu_s()["engine"] - before_s > 0.25


def test_ray_processes_are_told_apart_by_their_command_line() -> None:
    names = ("ray::ServeReplica:default:Engine", "ray::ServeReplica:default:Ingress", "ray::ProxyActor")
    with busy(names[0]), busy(names[1]), busy(names[2]):
        tree = ProcessTree(os.getpid(), is_ray=True)
        seconds = tree.cpu_s()
        assert {"engine", "ingress", "proxy", "others"} <= seconds.keys()
        assert all(seconds[group] == pytest.approx(0.33, abs=0.05) for group in ("engine", "ingress", "proxy"))
        assert 2_000_000 < tree.engine_pss_bytes() < 50_000_000


def test_most_memory_is_remembered() -> None:
    with PssWatch(ProcessTree(os.getpid())) as watch:
        block = bytearray(os.urandom(1 << 20) * 64)
        time.sleep(0.7)
        del block
    assert watch.peak_bytes - ProcessTree(os.getpid()).engine_pss_bytes() > 32 << 20


def test_server_gets_exactly_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(model="synthetic:tiny", port=1234, deterministic=True, voice_dir=tmp_path)
    passed = environment(settings)
    for name in [name for name in os.environ if name.startswith("XTTS_")]:
        monkeypatch.delenv(name)
    for name, value in passed.items():
        if name.startswith("XTTS_"):
            monkeypatch.setenv(name, value)
    assert Settings() == settings


@pytest.mark.slow
def test_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"(?s)Its last words:.*nowhere"):
        OverHttp(Settings(model=str(tmp_path / "nowhere")), is_ray=False)
