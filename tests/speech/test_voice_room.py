"""Who speaks and how: mixes, styles and presets, on a model with small weights."""

import asyncio
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import torch

from serve_app.audio.pcm import Recording
from serve_app.errors import StorageFailed, StyleNotFound, VoiceNotFound
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.conditioning import VoiceEncoder
from serve_app.speech.prosody import PLAIN, PRESETS
from serve_app.speech.request import SpeechRequest, Turn, VoiceChoice
from serve_app.speech.voice_room import SpokenVoice, VoiceRoom, in_manner, mixed
from serve_app.voices.catalogue import Catalogue
from serve_app.voices.entry import new_entry
from serve_app.voices.info import PreparedVoice
from serve_app.voices.reference import ReferenceTrimmer
from serve_app.voices.storage import Directory
from serve_app.voices.store import VoiceStore
from serve_app.voices.voice import VoiceLatents
from tests.engine.support import make_voice
from tests.voices.recordings import BECKETT, CLONE_TEST, TWO_CITIES, excerpt, recording


def latents(seed: int, scale: float = 1.0) -> VoiceLatents:
    generator = torch.Generator().manual_seed(seed)
    embedding = torch.randn(512, generator=generator)
    return VoiceLatents(torch.randn(32, 8, generator=generator), scale * embedding / embedding.norm())


# -- mixing --------------------------------------------------------------------------------------------------------


def test_mix_weighs_latents_and_keeps_the_length_of_the_speaker_vector() -> None:
    one, other = latents(1, 1.0), latents(2, 3.0)
    mix = mixed([(one, 3.0), (other, 1.0)])
    torch.testing.assert_close(mix.cond_latents, 0.75 * one.cond_latents + 0.25 * other.cond_latents)
    assert float(mix.speaker_embedding.norm()) == pytest.approx(0.75 * 1.0 + 0.25 * 3.0, rel=1e-5)
    expected = 0.75 * one.speaker_embedding + 0.25 * other.speaker_embedding
    assert float(torch.cosine_similarity(mix.speaker_embedding, expected, dim=0)) == pytest.approx(1.0, abs=1e-6)


def test_mix_of_one_is_that_voice_and_weights_are_relative() -> None:
    one, other = latents(1), latents(2)
    assert mixed([(one, 7.0)]) is one
    for scale in (1e-6, 1e6):
        mix = mixed([(one, 2.0 * scale), (other, 1.0 * scale)])
        torch.testing.assert_close(mix.cond_latents, mixed([(one, 2.0), (other, 1.0)]).cond_latents)
    same = mixed([(one, 1.0), (one, 2.0)])
    torch.testing.assert_close(same.speaker_embedding, one.speaker_embedding)


def test_mix_of_opposites_is_finite() -> None:
    one = latents(1)
    mix = mixed([(one, 1.0), (VoiceLatents(-one.cond_latents, -one.speaker_embedding), 1.0)])
    assert bool(torch.isfinite(mix.speaker_embedding).all())


# -- a room with a real encoder ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Checkpoint) -> Checkpoint:
    return tiny_checkpoint


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(Directory(tmp_path), 10)


@pytest.fixture
def room(checkpoint: Checkpoint, tmp_path: Path, catalogue: Catalogue) -> Generator[VoiceRoom]:
    encoder = VoiceEncoder(checkpoint)
    store = VoiceStore(
        Directory(tmp_path),
        2**20,
        checkpoint.fingerprint,
        lambda samples, _: encoder.encode(samples),
        ReferenceTrimmer(),
    )
    voices = {"default": make_voice(checkpoint, 1), "other": make_voice(checkpoint, 2)}
    room = VoiceRoom(voices, store, catalogue)
    yield room
    room.close()


def prepared(room: VoiceRoom, *recordings: Recording, is_style: bool = False) -> PreparedVoice:
    return asyncio.run(room.prepare(recordings, is_style=is_style))


def made(room: VoiceRoom, catalogue: Catalogue, voice_id: str, *recordings: Recording) -> str:
    """A voice of the user's; its `making`."""
    voice = prepared(room, *recordings)
    entry = new_entry(voice_id, voice_id, voice.speech_s, voice.warnings)
    catalogue.add(entry, voice.reference)
    return entry.making


def put_style(room: VoiceRoom, catalogue: Catalogue, style: str, voice_id: str | None, making: str = "") -> None:
    style_of = prepared(room, excerpt(TWO_CITIES, 2.0, 4.0), is_style=True)
    catalogue.put_style(
        new_entry(style, style, style_of.speech_s, (), voice_making=making), style_of.reference, voice_id
    )


def find(room: VoiceRoom, *names: str, style: str | None = None, intensity: float = 1.0) -> SpokenVoice:
    choice = VoiceChoice(tuple((name, 1.0) for name in names), style=style, style_intensity=intensity)
    return asyncio.run(room.find(choice))


def test_voice_made_is_spoken_with_and_survives_a_change_of_the_model(
    room: VoiceRoom, catalogue: Catalogue, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    made(room, catalogue, "anna", recording(BECKETT))
    first = find(room, "anna").latents
    assert len(list((tmp_path / "latents").iterdir())) == 1
    other_model = VoiceStore(
        Directory(tmp_path), 2**20, "another", lambda samples, _: latents(len(samples)), ReferenceTrimmer()
    )
    anew = find(VoiceRoom({}, other_model, catalogue), "anna").latents
    assert not torch.equal(first.speaker_embedding, anew.speaker_embedding)
    assert len(list((tmp_path / "latents").iterdir())) == 2
    catalogue.delete("anna")
    assert list((tmp_path / "latents").iterdir()) == []


def test_voice_prepared_is_encoded_already_when_it_first_speaks(
    room: VoiceRoom, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(room, catalogue, "anna", recording(CLONE_TEST))

    def never(*_: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(room._store, "_encode", never)
    assert find(room, "anna").warnings == ()


def test_voices_of_all_kinds_mix(room: VoiceRoom, catalogue: Catalogue) -> None:
    made(room, catalogue, "anna", recording(CLONE_TEST))
    mix = find(room, "anna", "default").latents
    anna, default = find(room, "anna").latents, find(room, "default").latents
    torch.testing.assert_close(mix.cond_latents, (anna.cond_latents + default.cond_latents) / 2)


def test_unknown_voice_is_named_and_turns_are_told_apart(room: VoiceRoom) -> None:
    with pytest.raises(VoiceNotFound, match="default, other"):
        find(room, "nobody")
    turns = tuple(Turn("x", "en", VoiceChoice(((name, 1.0),))) for name in ("default", "nobody"))
    with pytest.raises(VoiceNotFound) as caught:
        asyncio.run(room.voices_of(SpeechRequest(turns)))
    assert caught.value.field == "turns.1.voice"


# -- styles --------------------------------------------------------------------------------------------------------


def test_style_comes_nearer_with_its_intensity_and_the_timbre_stays(room: VoiceRoom, catalogue: Catalogue) -> None:
    put_style(room, catalogue, "whisper", None)
    style = asyncio.run(room._store.get_prepared(catalogue.style("whisper", None))).latents
    plain = find(room, "default").latents
    distances = []
    for intensity in (0.0, 0.25, 0.5, 0.75, 1.0):
        voice = find(room, "default", style="whisper", intensity=intensity)
        assert torch.equal(voice.latents.speaker_embedding, plain.speaker_embedding)
        assert (voice.prosody, voice.warnings) == (PLAIN, ())
        distances.append(float((voice.latents.cond_latents - style.cond_latents).norm()))
    whole = distances[0]
    assert whole > 0.0
    assert distances == pytest.approx([whole, 0.75 * whole, 0.5 * whole, 0.25 * whole, 0.0], abs=1e-4 * whole)


def test_voices_own_style_goes_before_the_one_for_all(room: VoiceRoom, catalogue: Catalogue) -> None:
    making = made(room, catalogue, "anna", recording(CLONE_TEST))
    put_style(room, catalogue, "happy", None)
    shared = find(room, "anna", style="happy").latents
    reference = prepared(room, recording(BECKETT), is_style=True).reference
    catalogue.put_style(new_entry("happy", "happy", 2.0, (), voice_making=making), reference, "anna")
    own = find(room, "anna", style="happy")
    assert not torch.equal(own.latents.cond_latents, shared.cond_latents)
    assert own.prosody == PLAIN
    assert torch.equal(find(room, "default", style="happy").latents.cond_latents, shared.cond_latents)


def test_emotion_without_a_recording_is_a_preset_and_says_so(room: VoiceRoom) -> None:
    voice = find(room, "default", style="sad", intensity=0.5)
    assert voice.prosody == PRESETS["sad"].scaled(0.5)
    assert "preset" in voice.warnings[0]
    assert voice.latents is find(room, "default").latents
    assert find(room, "default", style="neutral") == find(room, "default")
    assert find(room, "default", style="sad", intensity=0.0) == find(room, "default")


def test_unknown_style_names_those_that_exist(room: VoiceRoom, catalogue: Catalogue) -> None:
    making = made(room, catalogue, "anna", recording(CLONE_TEST))
    put_style(room, catalogue, "whisper", None)
    put_style(room, catalogue, "shout", "anna", making)
    with pytest.raises(StyleNotFound, match="neutral, happy, sad, angry, shout, whisper") as caught:
        find(room, "anna", style="bored")
    assert (caught.value.status, caught.value.field) == (404, "emotion")
    for hostile in ("../x", "", "a" * 200):
        with pytest.raises(StyleNotFound):
            find(room, "default", style=hostile)


def test_preset_still_speaks_where_styles_cannot_be_read(
    room: VoiceRoom, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StorageFailed("away")

    monkeypatch.setattr(catalogue, "_look", away)
    assert find(room, "default", style="happy").prosody == PRESETS["happy"]
    with pytest.raises(StorageFailed):
        find(room, "default", style="whisper")


def test_reference_of_a_request_takes_a_style_for_all_too(room: VoiceRoom, catalogue: Catalogue) -> None:
    put_style(room, catalogue, "whisper", None)
    choice = VoiceChoice(reference=recording(CLONE_TEST), style="whisper", style_intensity=0.5)
    voice = asyncio.run(room.find(choice))
    plain = asyncio.run(room.find(VoiceChoice(reference=recording(CLONE_TEST))))
    assert not torch.equal(voice.latents.cond_latents, plain.latents.cond_latents)
    assert voice.warnings == plain.warnings != ()


def test_manner_is_half_way_at_half_the_intensity() -> None:
    one, style = latents(1), latents(2)
    half = in_manner(one, style, 0.5)
    np.testing.assert_allclose(half.cond_latents, (one.cond_latents + style.cond_latents) / 2, atol=1e-6)
    assert half.speaker_embedding is one.speaker_embedding
