from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from serve_app.voices.voice import VoiceFileError, VoiceLatents


def latents(seed: int = 0) -> VoiceLatents:
    generator = torch.Generator().manual_seed(seed)
    return VoiceLatents(torch.randn(32, 64, generator=generator), torch.randn(512, generator=generator))


def test_voice_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    voice = latents()
    voice.save(tmp_path / "voice.safetensors", {"key": "k", "note": "é"})
    loaded, metadata = VoiceLatents.load(tmp_path / "voice.safetensors")
    assert torch.equal(loaded.cond_latents, voice.cond_latents)
    assert torch.equal(loaded.speaker_embedding, voice.speaker_embedding)
    assert metadata == {"key": "k", "note": "é"}
    assert voice.num_bytes == 4 * (32 * 64 + 512)


def test_voice_saved_again_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "voice.safetensors"
    latents(1).save(path, {})
    before, _ = VoiceLatents.load(path)
    latents(2).save(path, {})
    assert torch.equal(VoiceLatents.load(path)[0].cond_latents, latents(2).cond_latents)
    assert torch.equal(before.cond_latents, latents(1).cond_latents)
    assert [file.name for file in tmp_path.iterdir()] == ["voice.safetensors"]


def test_voice_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "voice.safetensors").mkdir()
    with pytest.raises(OSError, match=r"voice\.safetensors"):
        latents().save(tmp_path / "voice.safetensors", {})
    assert [file.name for file in tmp_path.iterdir()] == ["voice.safetensors"]


@pytest.mark.parametrize("num_bytes", [0, 4, 100, 5_000])
def test_voice_file_cut_off_is_refused(tmp_path: Path, num_bytes: int) -> None:
    path = tmp_path / "voice.safetensors"
    latents().save(path, {})
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(VoiceFileError):
        VoiceLatents.load(path)


@pytest.mark.parametrize(
    "tensors",
    [
        {"cond_latents": torch.zeros(32, 64)},
        {"cond_latents": torch.zeros(32, 64), "speaker_embedding": torch.zeros(1, 512)},
        {"cond_latents": torch.zeros(32, 64, dtype=torch.float16), "speaker_embedding": torch.zeros(512)},
        {"cond_latents": torch.full((32, 64), torch.nan), "speaker_embedding": torch.zeros(512)},
        {"cond_latents": torch.zeros(0, 64), "speaker_embedding": torch.zeros(512)},
    ],
)
def test_voice_file_with_other_tensors_is_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, tmp_path / "voice.safetensors")
    with pytest.raises(VoiceFileError, match="voice file"):
        VoiceLatents.load(tmp_path / "voice.safetensors")


def test_voice_file_missing_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        VoiceLatents.load(tmp_path / "voice.safetensors")
