"""Voices that users make: found, changed and deleted everywhere, whatever becomes of the place where they are kept."""

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_app.audio.pcm import Recording
from serve_app.errors import (
    RequestError,
    StorageFailed,
    StorageFull,
    StyleNotFound,
    TooManyVoices,
    VoiceExists,
    VoiceNotFound,
)
from serve_app.voices import storage as storage_module
from serve_app.voices.catalogue import FRESH_S, Catalogue
from serve_app.voices.entry import (
    Entry,
    checked_id,
    entry_of,
    from_int16,
    id_of,
    ids_in,
    is_id,
    latents_prefix,
    new_entry,
    samples_of,
    style_file,
    to_file,
    to_int16,
    voice_file,
)
from serve_app.voices.object_store import ObjectStore
from serve_app.voices.storage import Directory, Storage, VoiceFileError
from tests.voices.object_server import ObjectServer


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def tone(pitch_hz: float = 200.0, duration_s: float = 0.2) -> Recording:
    time_s = np.arange(int(duration_s * 22_050)) / 22_050
    return from_int16(to_int16((0.3 * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.float32)))


def entry(voice_id: str = "anna", **known: object) -> Entry:
    return new_entry(voice_id, "Anna", 0.2, (), **known)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["directory", "bucket"])
def open_catalogue(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, object_server: ObjectServer
) -> Iterator[Callable[[], Catalogue]]:
    """Opens the same place again and again, as replicas do."""
    opened: list[Catalogue] = []

    def open_one() -> Catalogue:
        is_directory = request.param == "directory"
        storage: Storage = Directory(tmp_path / "v") if is_directory else ObjectStore("s3://bucket/v")
        opened.append(Catalogue(storage, 3, clock=clock))
        return opened[-1]

    yield open_one
    object_server.may_go_on.set()
    for each in opened:
        each.close()


Open = Callable[[], Catalogue]


@pytest.fixture
def catalogue(tmp_path: Path, clock: Clock) -> Catalogue:
    return Catalogue(Directory(tmp_path), 3, clock=clock)


# -- made, found, changed, deleted ---------------------------------------------------------------------------------


def test_voice_made_is_found_whole_by_another_replica(open_catalogue: Open) -> None:
    made = entry(description="low", owner="team-a", is_shared=True, has_consent=True)
    open_catalogue().add(made, tone())
    other = open_catalogue()
    assert other.voice("anna") == made
    np.testing.assert_array_equal(other.recording("anna").samples, tone().samples)
    assert [(each.entry, each.styles) for each in other.voices()] == [(made, ())]


def test_voice_of_a_taken_id_is_refused_and_the_first_one_stays(open_catalogue: Open) -> None:
    open_catalogue().add(entry(), tone())
    with pytest.raises(VoiceExists):
        open_catalogue().add(entry(), tone(300.0))
    np.testing.assert_array_equal(open_catalogue().recording("anna").samples, tone().samples)


def test_voices_made_at_once_under_one_id_are_one(open_catalogue: Open) -> None:
    replicas = [open_catalogue() for _ in range(4)]

    def add(index: int) -> bool:
        try:
            replicas[index].add(entry(), tone(200.0 + index))
        except VoiceExists:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(add, range(4))) == [False, False, False, True]


def test_change_is_seen_by_another_replica_after_two_seconds(open_catalogue: Open, clock: Clock) -> None:
    one, other = open_catalogue(), open_catalogue()
    one.add(entry(), tone())
    assert other.voice("anna") == one.voice("anna")
    changed = one.change("anna", name="Anna B.", description=None, is_shared=True)
    clock.now_s += FRESH_S
    assert other.voice("anna") == changed
    assert (changed.name, changed.description, changed.is_shared) == ("Anna B.", "", True)


def test_deleted_voice_is_gone_on_another_replica_after_two_seconds(open_catalogue: Open, clock: Clock) -> None:
    one, other = open_catalogue(), open_catalogue()
    one.add(entry(), tone())
    assert other.recording("anna").duration_s > 0
    one.delete("anna")
    assert one.voice("anna") is None
    assert other.voice("anna") is not None  # for as long as it does not look
    clock.now_s += FRESH_S
    assert other.voice("anna") is None
    with pytest.raises(VoiceNotFound):
        other.recording("anna")
    assert other.voices() == []


def test_delete_takes_latents_of_all_models_and_styles_along(open_catalogue: Open) -> None:
    one = open_catalogue()
    made = entry()
    one.add(made, tone())
    one.put_style(entry("happy", voice_making=made.making), tone(300.0), "anna")
    storage = one._storage
    for recording in (tone(), tone(300.0), tone(400.0)):
        storage.put(f"{latents_prefix(to_int16(recording.samples))}model.safetensors", b"latents", is_new=True)
    one.delete("anna")
    assert storage.versions("custom") == {}
    assert list(storage.versions("latents")) == [f"{latents_prefix(to_int16(tone(400.0).samples))}model.safetensors"]


def test_what_is_absent_cannot_be_changed_or_deleted(open_catalogue: Open) -> None:
    one = open_catalogue()
    with pytest.raises(VoiceNotFound):
        one.delete("anna")
    with pytest.raises(VoiceNotFound):
        one.change("anna", name="A", description=None, is_shared=None)
    with pytest.raises(StyleNotFound):
        one.delete_style("happy", None)
    assert one.style("happy", None) is None


def test_voices_are_no_more_than_they_may_be(open_catalogue: Open) -> None:
    one = open_catalogue()
    for name in "abc":
        one.add(entry(name), tone())
    with pytest.raises(TooManyVoices, match="3 voices"):
        one.add(entry("d"), tone())
    one.delete("a")
    one.add(entry("d"), tone())


def test_style_replaces_one_and_belongs_to_its_voice_alone(open_catalogue: Open) -> None:
    one = open_catalogue()
    made = entry()
    one.add(made, tone())
    for pitch_hz in (300.0, 400.0):
        one.put_style(entry("happy", voice_making=made.making), tone(pitch_hz), "anna")
    one.put_style(entry("sad"), tone(500.0), None)
    other = open_catalogue()
    style = other.style("happy", "anna")
    assert style is not None
    np.testing.assert_array_equal(style.samples, tone(400.0).samples)
    assert other.style("happy", None) is None
    assert [each.styles for each in other.voices()] == [("happy",)]
    assert [each.id for each in other.styles(None)] == ["sad"]
    other.delete_style("happy", "anna")
    assert other.styles("anna") == []


def test_style_of_a_deleted_voice_is_not_taken_for_one_of_its_successor(catalogue: Catalogue) -> None:
    """As where a style is put while its voice is deleted."""
    catalogue.add(entry(), tone())
    catalogue.put_style(entry("happy", voice_making="of an earlier anna"), tone(300.0), "anna")
    assert catalogue.style("happy", "anna") is None
    assert catalogue.styles("anna") == []
    assert catalogue.voices()[0].styles == ()


# -- trouble -------------------------------------------------------------------------------------------------------


def _spoil(path: Path, data: bytes) -> None:
    path.write_bytes(data)


@pytest.mark.parametrize("spoilt", ["", "cut", "foreign", "another's", "huge header"])
def test_damaged_file_is_listed_as_damaged_and_others_are_unaffected(
    catalogue: Catalogue, tmp_path: Path, spoilt: str, caplog: pytest.LogCaptureFixture
) -> None:
    catalogue.add(entry(), tone())
    catalogue.add(entry("ben"), tone())
    path = tmp_path / voice_file("anna")
    data = path.read_bytes()
    path.write_bytes(
        {
            "": b"",
            "cut": data[:-1_000],
            "foreign": b"RIFF" + data,
            "another's": (tmp_path / voice_file("ben")).read_bytes(),
            "huge header": (1 << 62).to_bytes(8, "little") + data[8:],
        }[spoilt]
    )
    fresh = Catalogue(Directory(tmp_path), 3)
    with caplog.at_level(logging.ERROR):
        listed = {each.entry.id: bool(each.entry.damage) for each in fresh.voices()}
    assert listed == {"anna": True, "ben": False}
    assert "custom/anna.safetensors cannot be used" in caplog.text
    assert fresh.voice("anna") is None
    with pytest.raises(VoiceNotFound):
        fresh.recording("anna")
    assert fresh.recording("ben").duration_s > 0
    fresh.delete("anna")
    assert [each.entry.id for each in fresh.voices()] == ["ben"]


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.EROFS, StorageFailed), (errno.EACCES, StorageFailed), (errno.ENOSPC, StorageFull)]
)
def test_write_that_fails_is_told(
    catalogue: Catalogue, tmp_path: Path, number: int, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.add(entry("ben"), tone())

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number), "/a/path/of/ours")

    monkeypatch.setattr(storage_module.os, "fsync", fail)
    with pytest.raises(expected) as caught:
        catalogue.add(entry(), tone())
    assert "/a/path" not in str(caught.value)
    with pytest.raises(expected):
        catalogue.change("ben", name="B", description=None, is_shared=None)
    monkeypatch.undo()
    assert catalogue.voice("anna") is None
    assert catalogue.voice("ben") is not None
    assert [path.name for path in (tmp_path / "custom").iterdir()] == ["ben.safetensors"]


def test_directory_that_cannot_be_read_is_told_and_what_is_in_memory_goes_on(tmp_path: Path, clock: Clock) -> None:
    place = tmp_path / "place"
    catalogue = Catalogue(Directory(place), 3, clock=clock)
    catalogue.add(entry(), tone())
    catalogue.recording("anna")
    place.rename(tmp_path / "away")
    place.write_text("a file where the directory was")
    clock.now_s += FRESH_S
    assert catalogue.recording("anna").duration_s > 0
    with pytest.raises(StorageFailed):
        catalogue.recording("ben")
    with pytest.raises(StorageFailed):
        catalogue.voices()


def test_file_system_without_hard_links_still_refuses_a_taken_id(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    catalogue.add(entry(), tone())
    with pytest.raises(VoiceExists):
        catalogue.add(entry(), tone(300.0))
    np.testing.assert_array_equal(catalogue.recording("anna").samples, tone().samples)


def test_bucket_that_fails_is_told_and_what_is_in_memory_goes_on(object_server: ObjectServer, clock: Clock) -> None:
    catalogue = Catalogue(ObjectStore("s3://bucket/v", clock=clock), 3, clock=clock)
    catalogue.add(entry(), tone())
    catalogue.recording("anna")
    object_server.trouble = "503"
    clock.now_s += FRESH_S
    assert catalogue.recording("anna").duration_s > 0
    for ask in (catalogue.voices, lambda: catalogue.recording("ben"), lambda: catalogue.delete("anna")):
        with pytest.raises(StorageFailed) as caught:
            ask()
        assert caught.value.retry_after_s
    object_server.trouble = ""
    clock.now_s += 31.0
    assert [each.entry.id for each in catalogue.voices()] == ["anna"]
    catalogue.close()


@pytest.mark.parametrize("status", ["403", "500", "507"])
def test_bucket_that_refuses_a_write_is_told(object_server: ObjectServer, status: str) -> None:
    catalogue = Catalogue(ObjectStore("s3://bucket/v"), 3)
    object_server.put_trouble = status
    with pytest.raises(StorageFailed) as caught:
        catalogue.add(entry(), tone())
    assert "AKID" not in str(caught.value)
    catalogue.close()


def test_bucket_without_the_right_to_list_has_no_unknown_voice_but_says_so_of_a_list(
    object_server: ObjectServer,
) -> None:
    catalogue = Catalogue(ObjectStore("s3://bucket/v"), 3)
    object_server.trouble = "403"
    assert catalogue.voice("anna") is None
    with pytest.raises(StorageFailed):
        catalogue.voices()
    catalogue.close()


# -- memory --------------------------------------------------------------------------------------------------------


def test_memory_is_bounded_by_bytes(tmp_path: Path) -> None:
    one = tone().samples.nbytes // 2 + 5_000
    catalogue = Catalogue(Directory(tmp_path), 100, cache_bytes=3 * one)
    for index in range(8):
        catalogue.add(entry(f"v{index}"), tone(200.0 + index))
        catalogue.recording(f"v{index}")
    assert catalogue._num_bytes <= 3 * one
    assert catalogue._num_bytes == sum(each.num_bytes for each in catalogue._cached.values())
    assert catalogue.recording("v0").samples[5] == tone(200.0).samples[5]


def test_names_that_do_not_exist_do_not_fill_the_memory(catalogue: Catalogue) -> None:
    for index in range(1_500):
        assert catalogue.voice(f"nobody-{index}") is None
    assert len(catalogue._absent) == 1_000


def test_voice_is_used_while_it_is_changed_and_deleted(tmp_path: Path) -> None:
    """Whoever looks finds it whole, or not at all."""
    writer, reader = Catalogue(Directory(tmp_path), 3), Catalogue(Directory(tmp_path), 3, clock=_Leaps())
    is_over = threading.Event()
    pitches = {tone(pitch_hz).samples.tobytes() for pitch_hz in (200.0, 300.0)}
    found = []

    def read() -> None:
        while not is_over.is_set():
            try:
                found.append(reader.recording("anna").samples.tobytes() in pitches)
            except VoiceNotFound:
                found.append(True)

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for _ in range(30):
            writer.add(entry(), tone(200.0))
            writer.change("anna", name="B", description=None, is_shared=None)
            writer.delete("anna")
            writer.add(entry(), tone(300.0))
            writer.delete("anna")
        is_over.set()
        for each in readers:
            each.result()
    assert found and all(found)


class _Leaps:
    """A clock by which nothing is fresh."""

    now_s = 0.0

    def __call__(self) -> float:
        self.now_s += FRESH_S
        return self.now_s


# -- names and files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", ".", "..", "../a", "a/b", "a\\b", "a.b", "Anna", "-a", "_a", "a" * 65, "a\n", "ä", "a b", "a\0", "%2e"]
)
def test_hostile_id_is_refused(text: str, catalogue: Catalogue) -> None:
    assert not is_id(text)
    with pytest.raises(RequestError):
        checked_id(text, "id")
    assert catalogue.voice(text) is None
    assert catalogue.style(text, None) is None
    assert catalogue.style("happy", text) is None
    with pytest.raises(VoiceNotFound):
        catalogue.recording(text)


@given(st.text(max_size=120))
def test_id_made_of_a_name_is_one_or_none(name: str) -> None:
    try:
        made = id_of(name)
    except RequestError:
        return
    assert is_id(made)


def test_id_made_of_a_name_is_readable() -> None:
    names = ("Anna", " Anna's voice! ", "a_b-c", "지수", "晴子", "Алёна")
    assert [id_of(name) for name in names] == ["anna", "anna-s-voice", "a_b-c", "jisu", "qingzi", "alena"]


IDS = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,63}", fullmatch=True)


@given(IDS, IDS)
def test_files_of_voices_and_styles_are_told_apart(one: str, other: str) -> None:
    files = {voice_file(one), style_file(other, one), style_file(other, None), f"latents/{one}"}
    assert len(files) == 4
    assert ids_in(voice_file(one)) == (one,)
    assert ids_in(style_file(other, one)) == (one, other)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(TEXT, TEXT, st.lists(TEXT, max_size=3), st.none() | TEXT, st.booleans())
def test_entry_in_a_file_is_read_as_it_was(
    name: str, description: str, warnings: list[str], owner: str | None, is_shared: bool
) -> None:
    made = new_entry("anna", name, 1.25, tuple(warnings), description=description, owner=owner, is_shared=is_shared)
    samples = to_int16(tone().samples)
    data = to_file(made, samples)
    assert entry_of(data[:65_536], len(data), "anna") == made
    np.testing.assert_array_equal(samples_of(data), samples)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_mutilated_file_is_damaged_or_read(data: st.DataObject) -> None:
    whole = bytearray(to_file(entry(), to_int16(tone().samples)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 600))] = data.draw(st.integers(0, 255))
    try:
        entry_of(bytes(whole[:65_536]), len(whole), "anna")
        samples_of(bytes(whole))
    except VoiceFileError:
        pass
