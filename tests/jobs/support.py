"""Jobs for tests, and a runner that is quick."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from serve_app.jobs.folder import JobFolder
from serve_app.jobs.job import Job, NewJob
from serve_app.jobs.runner import JobRunner
from serve_app.jobs.speaking import Pace
from serve_app.jobs.store import JobStore
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.speech.request import Guards, SamplingOptions, SpeechBackend, Turn

QUICK = Pace(first_delay_s=0.01, longest_delay_s=0.05, lease_s=0.6, beat_s=0.05, poll_s=0.02)
SENTENCE = "This is one of many sentences of a book. "
BOOK = SENTENCE * 100  # five parts


def new_job(*texts: str, is_list: bool = False, seed: int = 7, **turn: object) -> NewJob:
    turns = [Turn(text, "en", **turn) for text in texts]  # type: ignore[arg-type]
    named = tuple((str(number), each) for number, each in enumerate(turns, 1))
    return NewJob(named, is_list, "wav", None, "fake", 24_000, seed, SamplingOptions(), Guards())


def store_in(directory: Path, max_jobs: int = 100) -> JobStore:
    return JobStore(directory, max_jobs, keep_days=7.0)


@asynccontextmanager
async def running(
    backend: SpeechBackend,
    store: JobStore,
    recorder: Metrics = NOT_RECORDED,
    pace: Pace = QUICK,
    max_running: int = 1,
) -> AsyncGenerator[JobRunner]:
    runner = JobRunner(backend, store, max_running, recorder, pace)
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(is_so: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not is_so():  # noqa: ASYNC110 (files tell nobody)
            await asyncio.sleep(0.005)


async def over(store: JobStore, job: Job, owner: str | None = None) -> Job:
    """The job, once it is over."""
    folder = store.find(owner, job.head.id)
    await until(lambda: folder.job().state.status.is_over)
    return folder.job()


def part_bytes(folder: JobFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder.path / "parts").iterdir())}


@contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """Whoever runs the tests: a file stands where the directory was."""
    aside = path.with_name(f"{path.name}-aside")
    path.rename(aside)
    path.touch()
    try:
        yield
    finally:
        path.unlink()
        aside.rename(path)
