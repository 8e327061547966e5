"""Samples, patches, codes and the batches made of them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from serve_app.model.config import GptConfig
from serve_app.training.batches import IGNORED, Batcher, heard_tokens
from serve_app.training.codes import EncodedVoice, Quantizer, QuantizerCoder, encode_voice, learn_quantizer
from serve_app.training.gpt import corrupt, neighbours
from serve_app.training.recordings import Recording, VoiceFolder, voice_folders
from serve_app.training.spectrogram import patches

RATE_HZ = 22_050


def _tone(seconds: float, pitch_hz: float) -> np.ndarray:
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.float32)


def test_a_patch_hears_its_own_samples() -> None:
    """A burst in the middle of one patch's 1,024 samples is loudest there."""
    samples = torch.zeros(1024 * 9)
    samples[1024 * 4 + 412 : 1024 * 4 + 612] = torch.randn(200, generator=torch.Generator().manual_seed(0))
    loudness = patches(samples).exp().sum(dim=1)
    assert loudness.shape == (9,)
    assert loudness.argmax() == 4
    assert loudness[4] > 3 * max(loudness[3], loudness[5])


@pytest.mark.parametrize("num_samples", [1, 1023, 1024, 1025, 5000])
def test_patches_cover_all_samples(num_samples: int) -> None:
    assert patches(torch.randn(num_samples)).shape == (-(-num_samples // 1024), 320)


def test_quantizer_keeps_distinct_sounds_apart(tmp_path: Path) -> None:
    sounds = torch.cat([patches(torch.from_numpy(_tone(1.0, pitch_hz))) for pitch_hz in (200, 400, 800, 1600)])
    quantizer, kept = learn_quantizer(sounds, num_components=32, num_codes=16)
    assert kept > 0.95
    quantizer.save(tmp_path / "quantizer.safetensors")
    again = Quantizer.load(tmp_path / "quantizer.safetensors")
    codes = again.encode(again.project(sounds)).reshape(4, -1)
    middle = [set(row[2:-2].tolist()) for row in codes]
    assert not any(one & other for i, one in enumerate(middle) for other in middle[i + 1 :])


def test_components_give_patches_back() -> None:
    sounds = torch.randn(500, 8, generator=torch.Generator().manual_seed(1)) @ torch.randn(8, 320)
    quantizer, _ = learn_quantizer(sounds, num_components=8, num_codes=4)
    assert quantizer.patches_of(quantizer.project(sounds)) == pytest.approx(sounds, abs=1e-2)


@pytest.fixture
def voices(tmp_path: Path) -> list[EncodedVoice]:
    quantizer, _ = learn_quantizer(torch.randn(300, 320), num_components=16, num_codes=64)
    for name, pitch_hz in (("one", 200.0), ("two", 320.0)):
        folder, start = VoiceFolder(tmp_path / name), 0
        for number in range(6):
            samples = _tone(0.5 + 0.2 * number, pitch_hz)
            ends_s = [0.2, 0.3, len(samples) / RATE_HZ]
            start += folder.append(f"text {number}", samples, ["k", "ˈæ", "."], ends_s, start).num_samples
        encode_voice(folder, QuantizerCoder(quantizer), lambda _: None)
    return [EncodedVoice.open(folder) for folder in voice_folders(tmp_path)]


def test_recordings_are_read_as_written(voices: list[EncodedVoice]) -> None:
    for voice in voices:
        for number, recording in enumerate(voice.recordings):
            expected = _tone(0.5 + 0.2 * number, 200.0 if voice.folder.name == "one" else 320.0)
            assert voice.folder.samples(recording) == pytest.approx(expected, abs=1e-4)


def test_an_interrupted_recording_is_overwritten(tmp_path: Path) -> None:
    folder = VoiceFolder(tmp_path / "voice")
    first = folder.append("one", _tone(0.1, 200), [], [], 0)
    with (folder.folder / "samples.i16").open("ab") as file:
        file.write(b"\0\0" * 77)  # samples that got no line
    second = folder.append("two", _tone(0.1, 300), [], [], first.num_samples)
    again = VoiceFolder(tmp_path / "voice")
    assert [each.text for each in again.recordings()] == ["one", "two"]
    assert again.samples(second) == pytest.approx(_tone(0.1, 300), abs=1e-4)


def _text_ids(recording: Recording) -> list[int]:
    return [3, *range(10, 10 + len(recording.tokens))]


def _batcher(voices: list[EncodedVoice]) -> Batcher:
    config = GptConfig(num_layers=1, width=128, num_heads=2, num_text_tokens=40, start_text_token=1)
    return Batcher(voices, _text_ids, config, torch.full((80,), 5.0))


def test_a_batch_is_shifted_by_one_and_padded(voices: list[EncodedVoice]) -> None:
    batcher = _batcher(voices)
    batch = batcher.draw(2, 2, np.random.default_rng(0))
    assert batch.voice_of.tolist() == [0, 0, 1, 1]
    assert (batch.codes[:, 0] == 1024).all()
    for row, item in enumerate(batch.items):
        count = len(item.codes)
        assert batch.codes[row, 1 : count + 1].tolist() == item.codes.tolist()
        assert batch.targets[row, : count + 1].tolist() == [*item.codes.tolist(), 1025]
        assert (batch.targets[row, count + 1 :] == IGNORED).all()
        assert batch.text[row, : batch.text_lengths[row]].tolist() == [1, 3, 10, 11, 12, 0]
        assert batch.heard[row, count].nonzero().flatten().tolist() == [5]  # the row that says stop: STOP
    assert batcher.num_sentences == 10  # one of six is kept for validation


def test_a_sentence_of_validation_is_never_drawn(voices: list[EncodedVoice]) -> None:
    batcher = _batcher(voices)
    unseen = {recording.start for recording in batcher.validation_recordings}
    draw = np.random.default_rng(1)
    drawn = {
        batcher.voices[item.voice].recordings[item.index].start
        for _ in range(30)
        for item in batcher.draw(2, 2, draw).items
    }
    assert drawn and not drawn & unseen


def test_heard_tokens_follow_the_teachers_time() -> None:
    second = 1024 / RATE_HZ
    heard = heard_tokens([0.5 * second, 0.5 * second, 2.5 * second], num_codes=3)
    assert heard.shape == (4, 6)
    assert heard[:, 2].tolist() == [True, False, False, False]
    assert not heard[:, 3].any()  # a token without time of its own is heard nowhere
    assert heard[:, 4].tolist() == [True, True, True, False]
    assert heard[3].tolist() == [False] * 5 + [True]


def test_corruption_leaves_the_start_code_and_padding() -> None:
    near = neighbours(torch.randn(64, 4, generator=torch.Generator().manual_seed(0)), 3)
    codes = torch.cat([torch.tensor([[1024]]), torch.arange(40)[None], torch.full((1, 5), 1025)], dim=1)
    changed = corrupt(codes, near, 0.5, torch.Generator().manual_seed(1))
    assert changed[0, 0] == 1024 and (changed[0, -5:] == 1025).all()
    assert 8 < (changed != codes).sum() < 32
    assert (corrupt(codes, near, 0.0, torch.Generator()) == codes).all()
    assert not (near == torch.arange(64)[:, None]).any()
