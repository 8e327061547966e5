"""Only the engine keeps helpers of OpenMP: beside those of another thread all sleep after each part of a step."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from serve_app.compute_threads import apart, await_apart

ROOT = Path(__file__).parents[2]
NUM_THREADS = 3
COUNTED = f"""
import asyncio, sys, threading
from pathlib import Path
import soundfile
from serve_app.audio.pcm import Recording
from serve_app.settings import make_settings
from serve_app.speech.engine_setup import use_cpu
from serve_app.speech.request import one_turn
from serve_app.speech.service import SpeechService
from tests.voices.recordings import recording_path

def num_helpers():
    names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
    return len(names) - threading.active_count()

async def main(service):
    recording = Recording(*soundfile.read(recording_path("two_cities.wav"), 10 * 48_000, dtype="float32"))
    prepared = await service.prepare_voice([recording], is_style=True)
    request = one_turn("One, two, three.", language="en", reference=prepared.reference)
    assert [chunk async for chunk in service.stream(request)]
    for _ in range(100):  # helpers end a moment after their thread
        if num_helpers() - before < {NUM_THREADS}:
            break
        await asyncio.sleep(0.1)
    print(num_helpers() - before)

use_cpu({NUM_THREADS})  # starts threads of another kind, which nobody uses
before = num_helpers()
chosen = dict(dtype="float32", num_threads={NUM_THREADS}, voice_dir=Path(sys.argv[1]))
settings = make_settings(model="synthetic:tiny", **chosen)
service = SpeechService.load(settings, lambda line: None)
asyncio.run(main(service))
service.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_the_engine_alone_keeps_helpers(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", COUNTED, str(tmp_path)], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert found.returncode == 0, found.stderr
    assert int(found.stdout.splitlines()[-1]) == NUM_THREADS - 1


def test_work_apart_gives_its_result_or_its_error() -> None:
    assert apart(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 // 0)


async def test_a_coroutine_gets_the_same() -> None:
    assert await await_apart(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await await_apart(lambda: 1 // 0)


async def test_work_goes_on_though_its_waiter_leaves() -> None:
    go_on, is_done = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait()
        is_done.set()

    waiter = asyncio.create_task(await_apart(work))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    go_on.set()
    assert await asyncio.to_thread(is_done.wait, 10.0)
