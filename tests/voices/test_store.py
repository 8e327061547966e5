import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from serve_app.audio.pcm import Recording, Samples
from serve_app.errors import ReferenceTooShort
from serve_app.voices.object_store import READ_TIMEOUT_S, ObjectStore
from serve_app.voices.reference import ReferenceTrimmer
from serve_app.voices.storage import Directory, Storage
from serve_app.voices.store import StoredVoice, VoiceStore
from serve_app.voices.voice import VoiceLatents
from tests.voices.object_server import ObjectServer
from tests.voices.recordings import BECKETT, CHIME, CLONE_TEST, TWO_CITIES, excerpt, recording

VOICE_BYTES = 4 * (32 * 8 + 512)
MANY_BYTES = 100 * VOICE_BYTES


class CountingEncoder:
    """Latents that depend on the samples; counts its calls, may be slow, and fails as often as told."""

    def __init__(self, delay_s: float = 0.0, num_failures: int = 0) -> None:
        self.num_calls = 0
        self.num_running = self.max_running = 0
        self._delay_s, self._num_failures = delay_s, num_failures
        self.has_started = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, samples: Samples, sample_rate_hz: int) -> VoiceLatents:
        assert sample_rate_hz == 22_050
        with self._lock:
            self.num_calls += 1
            self.num_running += 1
            self.max_running = max(self.max_running, self.num_running)
            is_failing = self.num_calls <= self._num_failures
        self.has_started.set()
        time.sleep(self._delay_s)
        with self._lock:
            self.num_running -= 1
        if is_failing:
            raise RuntimeError("out of memory")
        return VoiceLatents(torch.full((32, 8), float(samples.std())), torch.full((512,), float(len(samples))))


@pytest.fixture(scope="module")
def trimmer() -> ReferenceTrimmer:
    return ReferenceTrimmer()


Open = Callable[[], Storage]


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "voices")


@pytest.fixture
def bucket(object_server: ObjectServer) -> Iterator[Open]:
    """Opens the same bucket, again and again, as replicas do."""
    opened: list[ObjectStore] = []

    def open_bucket() -> Storage:
        opened.append(ObjectStore("s3://bucket/voices"))
        return opened[-1]

    yield open_bucket
    object_server.may_go_on.set()
    for each in opened:
        each.close()


@pytest.fixture(params=["directory", "bucket"])
def open_storage(request: pytest.FixtureRequest) -> Open:
    """Opens the same directory or the same bucket."""
    found = request.getfixturevalue(request.param)
    return found if request.param == "bucket" else lambda: found


@pytest.fixture
def make_store(trimmer: ReferenceTrimmer, directory: Directory) -> Callable[..., VoiceStore]:
    def make(encode: CountingEncoder, storage: Storage = directory, *, max_bytes: int = MANY_BYTES) -> VoiceStore:
        return VoiceStore(storage, max_bytes, "model", encode, trimmer)

    return make


Make = Callable[..., VoiceStore]


def get(store: VoiceStore, of: Recording) -> StoredVoice:
    return asyncio.run(store.get(of))


def assert_same(one: StoredVoice, other: StoredVoice) -> None:
    assert torch.equal(one.latents.cond_latents, other.latents.cond_latents)
    assert torch.equal(one.latents.speaker_embedding, other.latents.speaker_embedding)
    assert (one.key, one.speech_s, one.warnings) == (other.key, other.speech_s, other.warnings)


def test_get_encodes_once_then_remembers(make_store: Make) -> None:
    encode = CountingEncoder()
    store = make_store(encode)
    first, second = get(store, recording(CLONE_TEST)), get(store, recording(CLONE_TEST))
    assert encode.num_calls == 1
    assert (first.was_cached, second.was_cached) == (False, True)
    assert_same(first, second)
    assert "s of speech" in first.warnings[0]


def test_get_from_another_store_reads_what_the_first_wrote(make_store: Make, open_storage: Open) -> None:
    writer = make_store(CountingEncoder(), open_storage())
    first = get(writer, recording(CLONE_TEST))
    writer.close()
    encode = CountingEncoder()
    second = get(make_store(encode, open_storage()), recording(CLONE_TEST))
    assert encode.num_calls == 0
    assert second.was_cached
    assert_same(first, second)


def test_key_differs_by_sound_rate_model_and_trimming(directory: Directory) -> None:
    def key(of: Recording, fingerprint: str = "model", max_reference_s: float = 30.0) -> str:
        trimmer = ReferenceTrimmer(max_reference_s)
        return VoiceStore(directory, MANY_BYTES, fingerprint, CountingEncoder(), trimmer).key_of(of)

    voice = recording(CLONE_TEST)
    changed = voice.samples.copy()
    changed[100] += 1e-3
    keys = {
        key(voice),
        key(Recording(changed, 16_000)),
        key(Recording(voice.samples, 22_050)),
        key(voice, fingerprint="other"),
        key(voice, max_reference_s=20.0),
    }
    assert len(keys) == 5
    assert key(voice) == key(Recording(voice.samples.copy(), 16_000))


def test_get_by_many_at_once_encodes_once(make_store: Make) -> None:
    encode = CountingEncoder(delay_s=0.1)
    store = make_store(encode)

    async def run() -> list[StoredVoice]:
        return await asyncio.gather(*(store.get(recording(name)) for name in [CLONE_TEST, BECKETT] * 10))

    voices = asyncio.run(run())
    assert encode.num_calls == 2
    assert encode.max_running == 1
    assert len({voice.key for voice in voices}) == 2
    assert not any(voice.was_cached for voice in voices)
    for voice in voices[2:]:
        assert_same(voice, voices[0] if voice.key == voices[0].key else voices[1])


def test_get_failure_reaches_all_waiters_and_is_not_remembered(make_store: Make) -> None:
    encode = CountingEncoder(delay_s=0.1, num_failures=1)
    store = make_store(encode)

    async def run() -> list[StoredVoice | BaseException]:
        waiters = (store.get(recording(CLONE_TEST)) for _ in range(5))
        return await asyncio.gather(*waiters, return_exceptions=True)

    results = asyncio.run(run())
    assert [str(result) for result in results] == ["out of memory"] * 5
    assert not get(store, recording(CLONE_TEST)).was_cached
    assert encode.num_calls == 2


def test_get_refusal_names_each_callers_field(make_store: Make) -> None:
    store = make_store(CountingEncoder())

    async def run() -> list[StoredVoice | BaseException]:
        waiters = (store.get(recording(CHIME), field=field) for field in ("speaker_wav_b64", "file"))
        return await asyncio.gather(*waiters, return_exceptions=True)

    errors = asyncio.run(run())
    assert all(isinstance(error, ReferenceTooShort) for error in errors)
    assert [getattr(error, "field", None) for error in errors] == ["speaker_wav_b64", "file"]


def test_get_cancelled_waiters_leave_the_others_and_the_encoding(make_store: Make) -> None:
    encode = CountingEncoder(delay_s=0.3)
    store = make_store(encode)

    async def run() -> StoredVoice:
        waiters = [asyncio.create_task(store.get(recording(CLONE_TEST))) for _ in range(3)]
        assert await asyncio.to_thread(encode.has_started.wait, 5)
        waiters[0].cancel()  # the one that began it
        waiters[1].cancel()
        cancelled = await asyncio.gather(*waiters[:2], return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in cancelled)
        return await waiters[2]

    assert not asyncio.run(run()).was_cached
    assert encode.num_calls == 1


def test_get_cancelled_by_all_still_keeps_the_voice(make_store: Make) -> None:
    encode = CountingEncoder(delay_s=0.1)
    store = make_store(encode)

    async def run() -> StoredVoice:
        waiter = asyncio.create_task(store.get(recording(CLONE_TEST)))
        assert await asyncio.to_thread(encode.has_started.wait, 5)
        waiter.cancel()
        await asyncio.sleep(0.3)
        return await store.get(recording(CLONE_TEST))

    assert asyncio.run(run()).was_cached
    assert encode.num_calls == 1


def test_memory_is_bounded_and_drops_the_least_recently_used(make_store: Make, tmp_path: Path) -> None:
    encode = CountingEncoder()
    store = make_store(encode, max_bytes=2 * VOICE_BYTES + 1)
    others = [excerpt(TWO_CITIES, start_s, start_s + 6) for start_s in (1, 10)]
    voices = [recording(CLONE_TEST), *others]
    for voice in (voices[0], voices[1], voices[0], voices[2]):
        get(store, voice)
        assert store.num_bytes <= 2 * VOICE_BYTES
    for file in (tmp_path / "voices").iterdir():
        file.unlink()
    assert get(store, voices[0]).was_cached
    assert get(store, voices[2]).was_cached
    assert not get(store, voices[1]).was_cached
    assert store.num_bytes == 2 * VOICE_BYTES


def test_memory_too_small_for_a_voice_keeps_none(make_store: Make) -> None:
    store = make_store(CountingEncoder(), max_bytes=VOICE_BYTES - 1)
    get(store, recording(CLONE_TEST))
    assert store.num_bytes == 0
    assert get(store, recording(CLONE_TEST)).was_cached  # from disk


def cut(data: bytes) -> bytes:
    return data[:-100]


def foreign(data: bytes) -> bytes:
    return b"not a voice"


def with_metadata(data: bytes, **changes: str) -> bytes:
    latents, metadata = VoiceLatents.from_bytes(data)
    return latents.to_bytes({**metadata, **changes})


def of_another_key(data: bytes) -> bytes:
    return with_metadata(data, key="0" * 64)


def of_another_version(data: bytes) -> bytes:
    return with_metadata(data, format_version="0")


def with_wrong_warnings(data: bytes) -> bytes:
    return with_metadata(data, warnings="{")


def too_large(data: bytes) -> bytes:
    return data + bytes(16 * 1024 * 1024)


@pytest.mark.parametrize("corrupt", [cut, foreign, of_another_key, of_another_version, with_wrong_warnings, too_large])
def test_file_not_usable_is_logged_encoded_again_and_replaced(
    make_store: Make, open_storage: Open, caplog: pytest.LogCaptureFixture, corrupt: Callable[[bytes], bytes]
) -> None:
    writer = make_store(CountingEncoder(), open_storage())
    first = get(writer, recording(CLONE_TEST))
    writer.close()
    name = f"{first.key}.safetensors"
    storage = open_storage()
    storage.write(name, corrupt(storage.read(name) or b""))
    storage.close()
    encode = CountingEncoder()
    with caplog.at_level(logging.WARNING):
        replacer = make_store(encode, open_storage())
        assert_same(get(replacer, recording(CLONE_TEST)), first)
        replacer.close()
    assert encode.num_calls == 1
    assert "made anew" in caplog.text
    assert get(make_store(encode, open_storage()), recording(CLONE_TEST)).was_cached
    assert encode.num_calls == 1


def test_directory_not_writable_is_logged_and_voices_are_still_served(
    make_store: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    store = make_store(CountingEncoder(), Directory(tmp_path / "file" / "voices"))
    with caplog.at_level(logging.WARNING):
        assert not get(store, recording(CLONE_TEST)).was_cached
    assert "cannot be written" in caplog.text
    assert get(store, recording(CLONE_TEST)).was_cached


def test_recordings_that_differ_in_one_sample_never_share_a_voice(make_store: Make) -> None:
    store = make_store(CountingEncoder())
    voice = recording(CLONE_TEST)
    louder = Recording((voice.samples * np.float32(0.5)), voice.sample_rate_hz)
    one, other = get(store, voice), get(store, louder)
    assert one.key != other.key
    assert not torch.equal(one.latents.cond_latents, other.latents.cond_latents)


@pytest.mark.parametrize("trouble", ["hangs", "500", "403", "babbles"])
def test_bucket_in_trouble_costs_one_voice_two_seconds_and_no_other_anything(
    make_store: Make, bucket: Open, object_server: ObjectServer, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    object_server.trouble = trouble
    store = make_store(CountingEncoder(), bucket())
    took_s = []
    for start_s in (1, 10, 20):
        started_s = time.monotonic()
        assert not get(store, excerpt(TWO_CITIES, start_s, start_s + 6)).was_cached
        took_s.append(time.monotonic() - started_s)
    assert took_s[0] < READ_TIMEOUT_S + 1.5
    assert max(took_s[1:]) < 1.5
    assert 1 <= len(caplog.records) <= 2  # 403: to the read, which may mean absent, and to the write
    assert get(store, excerpt(TWO_CITIES, 1, 7)).was_cached  # from memory


def test_bucket_that_is_slow_to_write_keeps_nobody_waiting(
    make_store: Make, bucket: Open, object_server: ObjectServer
) -> None:
    object_server.put_trouble = "hangs"
    store = make_store(CountingEncoder(), bucket())
    get(store, recording(CLONE_TEST))  # the first loads what listens for speech
    started_s = time.monotonic()
    assert not get(store, recording(BECKETT)).was_cached
    assert time.monotonic() - started_s < 1.5
    assert object_server.objects == {}
    object_server.put_trouble = None
    object_server.may_go_on.set()
    store.close()
    assert len(object_server.objects) == 2
