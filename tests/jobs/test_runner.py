"""Jobs are spoken once, whole and in any company: crashes, takeovers, a busy service, a broken disk."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from serve_app.audio.pcm import Recording
from serve_app.errors import (
    EmptyText,
    JobNotFound,
    Overloaded,
    SynthesisFailed,
    Unavailable,
    VoiceNotFound,
)
from serve_app.jobs.job import Failure, Status, part_seed
from serve_app.jobs.store import JobStore
from serve_app.metrics import Metrics, PrometheusExporter
from serve_app.speech.request import AudioChunk, SpeechRequest, VoiceChoice
from tests.fakes import FakeBackend, FakeOptions, sine_for
from tests.jobs.support import BOOK, QUICK, new_job, over, part_bytes, running, store_in, until, unwritable

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return store_in(tmp_path / "jobs")


async def test_job_is_spoken_part_by_part_and_counts_them(store: JobStore) -> None:
    backend, registry = FakeBackend(), CollectorRegistry()
    job = store.create(None, new_job(BOOK))
    async with running(backend, store, Metrics(PrometheusExporter(registry))):
        done = await over(store, job)
        await until(lambda: registry.get_sample_value("xtts_jobs_total", {"outcome": "done"}) == 1)
    assert done.state.status is Status.DONE and done.state.failure is None
    assert (done.state.num_parts_done, done.state.num_chars_done) == (5, len(BOOK))
    assert done.state.audio_s == pytest.approx(len(BOOK) * 1_200 / 24_000)
    assert [request.seed for request in backend.requests] == [part_seed(7, index) for index in range(5)]
    assert not any(request.is_streaming for request in backend.requests)
    folder = store.find(None, job.head.id)
    heard = np.concatenate([folder.part(index).samples for index in range(5)])
    assert np.abs(heard - np.concatenate([sine_for(request) for request in backend.requests])).max() < 1e-4
    assert registry.get_sample_value("xtts_job_parts_total", {"outcome": "spoken"}) == 5
    assert not list(folder.path.glob("lease-*"))


async def test_job_that_was_interrupted_sounds_like_one_that_was_not(store: JobStore, tmp_path: Path) -> None:
    whole_store = store_in(tmp_path / "whole")
    whole, torn = whole_store.create(None, new_job(BOOK)), store.create(None, new_job(BOOK))
    async with running(FakeBackend(), whole_store):
        await over(whole_store, whole)
    folder = store.find(None, torn.head.id)
    for num_parts in (1, 3):
        async with running(FakeBackend(FakeOptions(chunk_delay_s=0.0003)), store):
            await until(lambda num_parts=num_parts: len(folder.parts_done()) >= num_parts)  # type: ignore[misc]
        assert not folder.job().state.status.is_over
    backend = FakeBackend()
    async with running(backend, store):
        assert (await over(store, torn)).state.num_parts_done == 5
    assert len(backend.requests) <= 2
    assert part_bytes(folder) == part_bytes(whole_store.find(None, whole.head.id))


async def test_two_processes_speak_no_part_twice(store: JobStore, tmp_path: Path) -> None:
    jobs = [store.create(None, new_job(BOOK, seed=seed)) for seed in range(2)]
    backends = [FakeBackend(FakeOptions(chunk_delay_s=0.0001)) for _ in range(2)]
    async with running(backends[0], store), running(backends[1], store_in(tmp_path / "jobs")):
        for job in jobs:
            assert (await over(store, job)).state.status is Status.DONE
    spoken = [request.seed for backend in backends for request in backend.requests]
    assert sorted(spoken) == sorted(part_seed(seed, index) for seed in range(2) for index in range(5))
    assert all(backend.requests for backend in backends)


async def test_job_of_a_process_that_hangs_is_taken_over(store: JobStore, tmp_path: Path) -> None:
    """Its parts stay, and when it comes to itself it finds that the job is somebody else's."""
    job = store.create(None, new_job(BOOK))
    folder = store.find(None, job.head.id)
    hanging, healthy = FakeBackend(FakeOptions(chunk_delay_s=0.0003)), FakeBackend()
    async with running(hanging, store, pace=replace(QUICK, beat_s=1_000.0)):  # it never renews its lease
        await until(lambda: len(folder.parts_done()) >= 1)
        hanging.configure(chunk_delay_s=1_000.0)
        async with running(healthy, store_in(tmp_path / "jobs")):
            assert (await over(store, job)).state.status is Status.DONE
    assert {request.seed for request in healthy.requests} < {part_seed(7, index) for index in range(5)}


@pytest.mark.parametrize("error", [Overloaded("Full.", retry_after_s=0.01), Unavailable("Away.")])
async def test_busy_or_absent_service_delays_a_job(store: JobStore, error: Overloaded | Unavailable) -> None:
    backend, registry = FakeBackend(FakeOptions(error=error)), CollectorRegistry()
    job = store.create(None, new_job(BOOK))
    folder = store.find(None, job.head.id)
    async with running(backend, store, Metrics(PrometheusExporter(registry))):
        await until(lambda: folder.state().waiting_for == error.message and len(backend.requests) > 3)
        assert folder.job().state.status is Status.RUNNING
        backend.configure(error=None)
        done = await over(store, job)
    assert (done.state.status, done.state.waiting_for) == (Status.DONE, None)
    assert (registry.get_sample_value("xtts_job_parts_total", {"outcome": "delayed"}) or 0) > 3


async def test_service_without_its_model_claims_nothing(store: JobStore) -> None:
    backend = FakeBackend(FakeOptions(is_ready=False))
    job = store.create(None, new_job(BOOK))
    async with running(backend, store):
        await asyncio.sleep(0.1)
        assert not list(store.find(None, job.head.id).path.glob("lease-*"))
        backend.configure(is_ready=True)
        await over(store, job)


async def test_job_for_another_model_is_left_alone(store: JobStore) -> None:
    other = store.create(None, replace(new_job(BOOK), model_name="another"))
    mine = store.create(None, new_job("Text."))
    async with running(FakeBackend(), store):
        await over(store, mine)
    assert store.find(None, other.head.id).job().state.status is Status.QUEUED


async def test_text_that_cannot_be_spoken_fails_its_job_and_names_the_item(store: JobStore) -> None:
    gone = VoiceNotFound("There is no such voice.", field="voice")
    backend, registry = FakeBackend(FakeOptions(error=gone)), CollectorRegistry()
    job = store.create(None, new_job("One.", "Two.", is_list=True))
    async with running(backend, store, Metrics(PrometheusExporter(registry))):
        failed = await over(store, job)
        await until(lambda: registry.get_sample_value("xtts_jobs_total", {"outcome": "failed"}) == 1)
    assert failed.state.status is Status.FAILED
    assert failed.state.failure == Failure("voice_not_found", "There is no such voice.", "1")
    assert len(backend.requests) == 1


@pytest.mark.parametrize("error", [SynthesisFailed("It rambles."), ZeroDivisionError("ours")])
async def test_part_that_fails_is_tried_with_other_seeds_and_then_fails(store: JobStore, error: Exception) -> None:
    backend = FakeBackend(FakeOptions(error=error))  # type: ignore[arg-type]
    job, next_job = store.create(None, new_job("One.")), store.create("b", new_job("Two."))
    async with running(backend, store):
        failed = await over(store, job)
        backend.configure(error=None)
        await over(store, next_job, "b")
    assert failed.state.failure is not None
    assert failed.state.failure.code in ("synthesis_failed", "internal_error")
    assert [request.seed for request in backend.requests[:3]] == [part_seed(7, 0, attempt) for attempt in range(3)]


async def test_part_with_nothing_to_read_is_left_out_of_a_long_text(store: JobStore) -> None:
    class Stars(FakeBackend):
        async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
            if "*" in request.turns[0].text:
                raise EmptyText("Nothing to read.", field="text")
            async for chunk in super().stream(request):
                yield chunk

    job, alone = store.create(None, new_job(BOOK + "* " * 600 + BOOK)), store.create("b", new_job("* * *"))
    async with running(Stars(), store):
        done, failed = await over(store, job), await over(store, alone, "b")
    assert done.state.status is Status.DONE and done.state.warnings == ("Not read aloud: Nothing to read.",)
    assert failed.state.failure is not None and failed.state.failure.code == "empty_text"


async def test_cancelled_job_stops_in_the_middle_of_a_part(store: JobStore) -> None:
    backend = FakeBackend(FakeOptions(chunk_delay_s=0.05))
    job = store.create(None, new_job(BOOK))
    folder = store.find(None, job.head.id)
    async with running(backend, store):
        await until(lambda: backend.num_open_streams == 1)
        folder.cancel()
        await until(lambda: folder.state().status is Status.CANCELLED)
        assert backend.num_open_streams == 0 and folder.parts_done() == set()


async def test_removed_job_is_let_go_and_the_next_one_spoken(store: JobStore) -> None:
    backend = FakeBackend(FakeOptions(chunk_delay_s=0.05))
    job, next_job = store.create(None, new_job(BOOK)), store.create(None, new_job("Next."))
    async with running(backend, store):
        await until(lambda: backend.num_open_streams == 1)
        store.remove(store.find(None, job.head.id))
        assert (await over(store, next_job)).state.status is Status.DONE
    with pytest.raises(JobNotFound):
        store.find(None, job.head.id)


async def test_book_holds_up_nobody(store: JobStore) -> None:
    """Two parts in a row, then another owner's job, or the same one's."""
    backend = FakeBackend()
    book = store.create("a", new_job(BOOK, seed=1))
    note = store.create("a", new_job("Note.", seed=2))
    other = store.create("b", new_job("Other.", seed=3))
    async with running(backend, store, pace=replace(QUICK, num_parts_in_a_row=2)):
        for owner, job in (("a", book), ("a", note), ("b", other)):
            await over(store, job, owner)
    order = [request.turns[0].text for request in backend.requests]
    assert order.index("Other.") == 2 and order.index("Note.") <= 5 and len(order) == 7


async def test_reference_of_a_job_is_heard_in_every_part(store: JobStore) -> None:
    recording = Recording(np.linspace(-1, 1, 6_000, dtype=np.float32), 24_000)
    backend = FakeBackend()
    job = store.create(None, new_job(BOOK, voice=VoiceChoice(reference=recording)))
    async with running(backend, store):
        await over(store, job)
    heard = [request.turns[0].voice.reference for request in backend.requests]
    assert all(each is not None and len(each.samples) == 6_000 for each in heard)


async def test_broken_disk_delays_a_job_and_loses_nothing(store: JobStore, tmp_path: Path) -> None:
    backend = FakeBackend(FakeOptions(chunk_delay_s=0.0003))
    job = store.create(None, new_job(BOOK))
    folder = store.find(None, job.head.id)
    parts = folder.path / "parts"
    async with running(backend, store, pace=replace(QUICK, lease_s=60.0)):
        await until(lambda: len(folder.parts_done()) >= 1)
        with unwritable(parts):
            await until(lambda: "Where jobs are kept" in (folder.state().waiting_for or ""))
        assert (await over(store, job)).state.status is Status.DONE
    assert len(backend.requests) == 5  # what was spoken while the disk was away was kept


async def test_damaged_part_is_spoken_again(store: JobStore) -> None:
    job = store.create(None, new_job(BOOK))
    folder = store.find(None, job.head.id)
    async with running(FakeBackend(FakeOptions(chunk_delay_s=0.0003)), store):
        await until(lambda: len(folder.parts_done()) >= 2)
    (folder.path / "parts" / "000000.safetensors").write_bytes(b"")
    async with running(FakeBackend(), store):
        await over(store, job)
    assert folder.part(0).facts.num_samples > 0


async def test_damaged_job_fails_and_others_go_on(store: JobStore) -> None:
    damaged, whole = store.create(None, new_job(BOOK)), store.create(None, new_job("Text."))
    (store.find(None, damaged.head.id).path / "items.json").write_text("[]}", encoding="utf-8")
    async with running(FakeBackend(), store):
        failed, done = await over(store, damaged), await over(store, whole)
    assert failed.state.failure is not None and failed.state.failure.code == "job_damaged"
    assert done.state.status is Status.DONE
