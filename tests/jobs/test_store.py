"""The directory of jobs: whose they are, how many, in which order, and what a disk in trouble does."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from serve_app.audio.pcm import Recording
from serve_app.errors import JobDamaged, JobNotFound, StorageFailed, StorageFull, TooManyJobs
from serve_app.jobs import store as store_module
from serve_app.jobs.job import Failure, Part, PartFacts, Sentence, State, Status
from serve_app.jobs.store import JobStore
from serve_app.speech.request import VoiceChoice
from tests.jobs.support import BOOK, new_job, store_in, unwritable


def test_job_is_what_was_asked(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    recording = Recording(np.linspace(-1, 1, 22_050, dtype=np.float32), 22_050)
    voice = VoiceChoice((("anna", 2.0), ("ben", 1.0)), recording, "sad", 0.5)
    job = store.create("team-a", new_job(BOOK, "Short.", is_list=True, voice=voice, speed=1.5))
    folder = store.find("team-a", job.head.id)
    book, short = folder.items()
    assert (job.head.num_items, job.head.num_chars, job.state) == (2, len(BOOK) + 6, State())
    assert "".join(folder.texts()[index] for index in book.parts) == BOOK and short.parts == range(5, 6)
    assert (short.voice, short.style, short.style_intensity, short.speed) == (voice.parts, "sad", 0.5, 1.5)
    assert (book.reference, short.reference) == (0, 0)  # kept once
    again = folder.reference(0)
    assert again.sample_rate_hz == 22_050 and np.abs(again.samples - recording.samples).max() < 1e-4
    assert folder.path.parent.parent == tmp_path and "team-a" not in str(folder.path)


def test_part_comes_back_with_its_sentences(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    folder = store.find(None, store.create(None, new_job(BOOK)).head.id)
    samples = (np.arange(-1_000, 1_000) / 32_767).astype(np.float32)
    facts = PartFacts(2_000, (Sentence("Ha \u2028 „ja“.", 0.0, 0.08),), ("a warning",))
    folder.write_part(3, Part(samples, facts), 24_000)
    assert folder.parts_done() == {3}
    part = folder.part(3)
    assert part.facts == facts and np.array_equal(part.samples, samples)
    path = folder.path / "parts" / "000003.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(JobDamaged):
        folder.part(3)


def test_another_owner_finds_lists_and_counts_nothing(tmp_path: Path) -> None:
    store = store_in(tmp_path, max_jobs=1)
    job = store.create("a", new_job("One."))
    for stranger in ("b", None, "everyone", "../a"):
        assert store.page(stranger, 10, None) == ([], False)
        with pytest.raises(JobNotFound):
            store.find(stranger, job.head.id)
    store.create("b", new_job("Two."))
    with pytest.raises(TooManyJobs, match="delete one"):
        store.create("a", new_job("Three."))


@pytest.mark.parametrize(
    "job_id",
    ["", ".", "..", "../../etc/passwd", "job-", "job-" + "g" * 28, "job-" + "0" * 28 + "/..", "JOB\0", "x" * 999],
)
def test_id_that_is_none_is_not_found(tmp_path: Path, job_id: str) -> None:
    with pytest.raises(JobNotFound):
        store_in(tmp_path).find(None, job_id)


def test_pages_are_the_newest_first_and_joined_are_all(tmp_path: Path) -> None:
    now_s = iter(range(1_700_000_000, 1_800_000_000))
    store = JobStore(tmp_path, 100, 7.0, clock=lambda: float(next(now_s)))
    made = [store.create(None, new_job("Text.")).head.id for _ in range(7)]
    listed, after, has_more = list[str](), None, True
    while has_more:
        jobs, has_more = store.page(None, 3, after)
        listed += [job.head.id for job in jobs]
        after = listed[-1]
    assert listed == made[::-1]


def test_jobs_are_removed_days_after_their_end(tmp_path: Path) -> None:
    now_s = 1_000_000.0
    store = JobStore(tmp_path, 100, 2.0, clock=lambda: now_s)
    done, waiting = (store.find(None, store.create(None, new_job("Text.")).head.id) for _ in range(2))
    done.write_state(State(Status.DONE, finished_at=now_s + 86_400.0))
    assert store.remove_old() == 0
    now_s += 2 * 86_400.0 + 1
    assert store.remove_old() == 1 and done.path.exists() and not waiting.path.exists()
    now_s += 86_400.0
    assert store.remove_old() == 1 and not done.path.exists()
    assert list((tmp_path / "everyone").iterdir()) == []


def test_what_a_crash_left_half_made_is_removed_and_never_seen(tmp_path: Path) -> None:
    store = JobStore(tmp_path, 100, 7.0, clock=lambda: 9e9)
    job = store.create(None, new_job("Text."))
    half = tmp_path / "everyone" / f".new-{job.head.id}"
    half.mkdir()
    assert len(store.page(None, 10, None)[0]) == 1 and len(store.unfinished()["everyone"]) == 1
    store.remove_old()
    assert not half.exists()


def test_failure_and_state_survive_a_process(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    folder = store.find(None, store.create(None, new_job("Text.")).head.id)
    state = State(Status.FAILED, 1, 5, 0.5, 0.25, 1.0, 2.0, Failure("empty_text", "Nothing.", "3"), None, ("w",))
    folder.write_state(state)
    assert store_in(tmp_path).find(None, folder.path.name).job().state == state


def test_cancelled_job_is_cancelled_for_everyone_at_once(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    folder = store.find(None, store.create(None, new_job("Text.")).head.id)
    folder.cancel()
    assert store_in(tmp_path).page(None, 1, None)[0][0].state.status is Status.CANCELLED


def test_damaged_job_hides_no_other_and_can_be_removed(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    damaged, whole = (store.find(None, store.create(None, new_job("Text.")).head.id) for _ in range(2))
    (damaged.path / "state.json").write_text("{", encoding="utf-8")
    assert [job.head.id for job in store.page(None, 10, None)[0]] == [whole.path.name]
    assert [folder.path for folder in store.unfinished()["everyone"]] == [whole.path]
    with pytest.raises(JobDamaged, match="delete it"):
        damaged.job()
    store.remove(damaged)
    assert not damaged.path.exists()


def test_directory_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    store = store_in(tmp_path / "jobs")
    job = store.create(None, new_job("Text."))
    with unwritable(tmp_path / "jobs"):
        for ask in (
            lambda: store.create(None, new_job("Text.")),
            lambda: store.page(None, 10, None),
            lambda: store.find(None, job.head.id).job(),
        ):
            with pytest.raises(StorageFailed, match="operator") as caught:
                ask()
            assert str(tmp_path) not in caught.value.message
    assert store.find(None, job.head.id).job() == job


def test_last_room_of_a_disk_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MIN_FREE_BYTES", shutil.disk_usage(tmp_path).total + 1)
    with pytest.raises(StorageFull):
        store_in(tmp_path).create(None, new_job("Text."))


def test_service_without_jobs_says_so(tmp_path: Path) -> None:
    with pytest.raises(TooManyJobs, match="XTTS_MAX_JOBS"):
        store_in(tmp_path, max_jobs=0).create(None, new_job("Text."))
