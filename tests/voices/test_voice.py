import pytest
import torch
from safetensors.torch import save

from serve_app.voices.storage import VoiceFileError
from serve_app.voices.voice import VoiceLatents


def latents(seed: int = 0) -> VoiceLatents:
    generator = torch.Generator().manual_seed(seed)
    return VoiceLatents(torch.randn(32, 64, generator=generator), torch.randn(512, generator=generator))


def test_voice_made_to_bytes_and_back_is_the_same() -> None:
    voice = latents()
    read, metadata = VoiceLatents.from_bytes(voice.to_bytes({"key": "k", "note": "é"}))
    assert torch.equal(read.cond_latents, voice.cond_latents)
    assert torch.equal(read.speaker_embedding, voice.speaker_embedding)
    assert metadata == {"key": "k", "note": "é"}
    assert voice.num_bytes == 4 * (32 * 64 + 512)


def test_voice_without_metadata_has_none() -> None:
    tensors = {"cond_latents": latents().cond_latents, "speaker_embedding": latents().speaker_embedding}
    assert VoiceLatents.from_bytes(save(tensors))[1] == {}


def test_voice_owns_its_memory() -> None:
    """A file of 16 MiB must not be kept for the sake of a voice inside it."""
    voice, _ = VoiceLatents.from_bytes(latents().to_bytes({}))
    assert voice.cond_latents.untyped_storage().nbytes() == voice.cond_latents.nbytes
    assert voice.cond_latents.untyped_storage().resizable()
    assert voice.speaker_embedding.untyped_storage().resizable()


@pytest.mark.parametrize("num_bytes", [0, 4, 8, 100, 5_000])
def test_voice_file_cut_off_is_refused(num_bytes: int) -> None:
    with pytest.raises(VoiceFileError):
        VoiceLatents.from_bytes(latents().to_bytes({})[:num_bytes])


@pytest.mark.parametrize(
    "data", [b"not a voice", b"\xff" * 1_000, b"\x80\x04K\x01.", b"<Error><Code>NoSuchKey</Code></Error>"]
)
def test_foreign_file_is_refused(data: bytes) -> None:
    with pytest.raises(VoiceFileError, match="voice file"):
        VoiceLatents.from_bytes(data)


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
def test_voice_file_with_other_tensors_is_refused(tensors: dict[str, torch.Tensor]) -> None:
    with pytest.raises(VoiceFileError, match="voice file"):
        VoiceLatents.from_bytes(save(tensors))


def test_voice_file_of_a_type_torch_does_not_know_is_refused() -> None:
    header = b'{"cond_latents":{"dtype":"F8_E8M0","shape":[2],"data_offsets":[0,2]}}'
    with pytest.raises(VoiceFileError, match="voice file"):
        VoiceLatents.from_bytes(len(header).to_bytes(8, "little") + header + b"12")
