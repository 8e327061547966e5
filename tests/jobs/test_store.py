"""Jobs as folders: what is kept, who speaks them, and what a broken or full disk does."""

import errno
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve_app.audio.pcm import Recording
from serve_app.errors import JobNotFound, Overloaded, StorageFailed, StorageFull
from serve_app.jobs.job import Item, JobHead, JobWork, SpokenPart, Status, cut, is_id, new_id, part_seed
from serve_app.jobs.store import LEASE_S, JobStore
from serve_app.speech.request import Guards, SamplingOptions, SentenceTiming, Turn, VoiceChoice

LONG = "Nobody has ever counted these stones. " * 100
SAMPLES = np.linspace(-0.5, 0.5, 2_400, dtype=np.float32)
SPOKEN = SpokenPart(0.1, (SentenceTiming("Nobody.", 0.0, 0.1),), ("a note",))


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs", 5)


def add(store: JobStore, *texts: str, reference: Recording | None = None, **fields: Any) -> tuple[JobHead, JobWork]:
    voice = VoiceChoice((("anna", 2.0), ("ben", 1.0)), reference, "happy", 0.5)
    turns = [Turn(text, "en", voice, speed=1.5, pronunciations=(("a", "b"),)) for text in texts or (LONG,)]
    items = tuple(Item(str(number), turn) for number, turn in enumerate(turns))
    ids = tuple(item.id for item in items)
    head = JobHead(new_id(), "team-a", time.time(), "mp3", len(items) > 1, ids, tuple(cut(items)), **fields)
    work = JobWork(items, 7, SamplingOptions(top_k=3), Guards(retry=False), "other")
    store.add(head, work)
    return head, work


def test_job_is_kept_as_it_was(store: JobStore, tmp_path: Path) -> None:
    reference = Recording(SAMPLES, 22_050)
    head, work = add(store, "One.", LONG, reference=reference)
    other = JobStore(tmp_path / "jobs", 5)
    assert other.ids() == [head.id] and other.head(head.id) == head
    kept = other.work(head.id)
    assert (kept.seed, kept.sampling, kept.guards, kept.model) == (7, work.sampling, work.guards, "other")
    assert [item.turn.text for item in kept.items] == ["One.", LONG]
    voice = kept.items[1].turn.voice
    assert (voice.parts, voice.style, voice.style_intensity) == ((("anna", 2.0), ("ben", 1.0)), "happy", 0.5)
    assert voice.reference is not None and voice.reference.sample_rate_hz == 22_050
    np.testing.assert_array_equal(voice.reference.samples, SAMPLES)


def test_parts_are_the_texts_and_end_with_sentences() -> None:
    items = tuple(Item(str(n), Turn(text, "en")) for n, text in enumerate((LONG, "Short.", " ", LONG)))
    parts = list(cut(items))
    assert {part.item_index for part in parts} == {0, 1, 3}
    for index in (0, 3):
        texts = [LONG[part.start : part.start + part.num_chars] for part in parts if part.item_index == index]
        assert "".join(texts) == LONG
        assert all(text.rstrip().endswith(".") and len(text) < 1_100 for text in texts)


def test_progress_follows_the_parts(store: JobStore) -> None:
    head, _ = add(store)
    assert len(head.parts) == 4 and store.missing(head) == [0, 1, 2, 3]
    assert store.progress(head).status is Status.QUEUED
    assert store.claim(head.id, "me")
    store.write_part(head.id, 0, SAMPLES, SPOKEN)
    store.write_part(head.id, 2, SAMPLES, SPOKEN)
    progress = store.progress(head)
    assert (progress.status, progress.num_parts_done, store.missing(head)) == (Status.RUNNING, 2, [1, 3])
    assert progress.audio_s == pytest.approx(0.2) and progress.warnings == ("a note",)
    assert progress.left_s is not None and progress.left_s >= 0.0
    np.testing.assert_allclose(store.samples(head.id, 0), SAMPLES, atol=1 / 32_000)
    for index in (1, 3):
        store.write_part(head.id, index, SAMPLES, SPOKEN)
    assert store.progress(head).status is Status.DONE and store.is_over(head.id)


def test_failure_and_cancelling_end_a_job(store: JobStore) -> None:
    failed, cancelled = add(store)[0], add(store)[0]
    store.fail(failed.id, "item 3: no")
    store.cancel(cancelled.id)
    assert (store.progress(failed).status, store.progress(failed).failure) == (Status.FAILED, "item 3: no")
    assert store.progress(cancelled).status is Status.CANCELLED
    assert store.is_over(failed.id) and store.is_over(cancelled.id)


def test_one_of_many_claims_a_job(store: JobStore) -> None:
    head, _ = add(store)
    assert [store.claim(head.id, name) for name in "abc"] == [True, False, False]
    assert store.renew(head.id, "a") and not store.renew(head.id, "b")
    store.release(head.id, "b")
    assert not store.claim(head.id, "b")
    store.release(head.id, "a")
    assert store.claim(head.id, "b")


def test_job_of_a_dead_speaker_is_taken_over(store: JobStore, tmp_path: Path) -> None:
    head, _ = add(store)
    assert store.claim(head.id, "dead")
    past = time.time() - LEASE_S - 1
    os.utime(tmp_path / "jobs" / head.id / "lease", (past, past))
    assert store.progress(head).status is Status.QUEUED
    assert store.claim(head.id, "heir") and not store.claim(head.id, "other")
    assert not store.renew(head.id, "dead") and store.renew(head.id, "heir")


def test_removed_job_stays_removed(store: JobStore, tmp_path: Path) -> None:
    head, _ = add(store)
    store.remove(head.id)
    store.write_part(head.id, 0, SAMPLES, SPOKEN)
    store.cancel(head.id)
    assert store.ids() == [] and list((tmp_path / "jobs").iterdir()) == []
    with pytest.raises(JobNotFound):
        store.head(head.id)


@pytest.mark.parametrize("job_id", ["", "..", "../../etc", "/etc", "a" * 26 + "/..", "A" * 26, "\x00", "x" * 5_000])
def test_clients_id_is_never_a_path(store: JobStore, job_id: str) -> None:
    assert not is_id(job_id)
    with pytest.raises(JobNotFound):
        store.head(job_id)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 1}', "null"])
def test_damaged_job_is_not_there_and_others_are(store: JobStore, tmp_path: Path, content: str) -> None:
    damaged, fine = add(store)[0], add(store)[0]
    (tmp_path / "jobs" / damaged.id / "job.json").write_text(content)
    again = JobStore(tmp_path / "jobs", 5)
    with pytest.raises(JobNotFound):
        again.head(damaged.id)
    assert again.head(fine.id) == fine


def test_number_of_jobs_is_bounded(store: JobStore) -> None:
    for _ in range(5):
        add(store)
    with pytest.raises(Overloaded):
        add(store)


def test_full_disk_is_told(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    head, _ = add(store)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull):
        store.write_part(head.id, 0, SAMPLES, SPOKEN)
    assert store.missing(head) == [0, 1, 2, 3]


def test_too_little_room_is_told_before_a_job_is_taken(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve_app.jobs.store.SPARE_BYTES", 1 << 60)
    with pytest.raises(StorageFull):
        add(store)
    assert store.ids() == []


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed):
        add(JobStore(tmp_path / "file" / "jobs", 5))


def test_seeds_of_parts_differ() -> None:
    assert len({part_seed(seed, index) for seed in range(10) for index in range(10)}) == 100
