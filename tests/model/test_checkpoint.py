import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from TTS.tts.configs.xtts_config import XttsArgs, XttsAudioConfig, XttsConfig

from serve_app.errors import CheckpointError, LicenceNotAccepted
from serve_app.model.checkpoint import Checkpoint, file_sha256, load_checkpoint
from serve_app.model.state_dict import VOCODER

STOP_BIAS = "gpt.mel_head.bias"
Tensors = dict[str, torch.Tensor]


def load(model: str | Path, cache_dir: Path, **options: Any) -> Checkpoint:
    return load_checkpoint(
        str(model), **{"accept_cpml": False, "cache_dir": cache_dir, "progress": lambda line: None, **options}
    )


@pytest.fixture
def directory(tiny_directory: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(tiny_directory, tmp_path / "model"))


def edit_config(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    raw = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    change(raw)
    (directory / "config.json").write_text(json.dumps(raw), encoding="utf-8")


def edit_tensors(directory: Path, change: Callable[[Tensors], object]) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(directory / "model.safetensors").items()}
    change(tensors)
    save_file(tensors, directory / "model.safetensors")


def as_pickle(directory: Path, content: Callable[[Tensors], object]) -> None:
    tensors = load_file(directory / "model.safetensors")
    torch.save(content(dict(tensors)), directory / "model.pth")
    (directory / "model.safetensors").unlink()


def assert_same_tensors(actual: Tensors, expected: Tensors) -> None:
    assert actual.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(actual[name], expected[name])] == []


def test_synthetic_says_that_it_is_noise(tiny_checkpoint: Checkpoint) -> None:
    assert tiny_checkpoint.config.name == "synthetic:tiny"
    assert "noise" in tiny_checkpoint.notices[0]
    assert tiny_checkpoint.tokenizer_file.is_file()


def test_directory_is_the_model_that_was_written(directory: Path, tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    loaded = load(directory, tmp_path)
    assert_same_tensors(loaded.tensors, tiny_checkpoint.tensors)
    assert loaded.config.gpt == tiny_checkpoint.config.gpt
    assert loaded.config.vocoder == tiny_checkpoint.config.vocoder
    assert loaded.config.conditioning == tiny_checkpoint.config.conditioning
    assert loaded.config.sampling == tiny_checkpoint.config.sampling
    assert loaded.config.languages == tiny_checkpoint.config.languages
    assert loaded.config.fixed_codes_per_token == tiny_checkpoint.config.fixed_codes_per_token


def test_vocoder_sizes_follow_from_shapes_without_their_section(directory: Path, tmp_path: Path) -> None:
    edit_config(directory, lambda raw: raw.pop("vocoder"))
    vocoder = load(directory, tmp_path).config.vocoder
    assert vocoder.initial_channels == 64
    assert vocoder.upsample_rates == (8, 8, 2, 2)
    assert vocoder.resblock_kernel_sizes == (3, 7, 11)


def test_config_values_are_the_files_own(directory: Path, tmp_path: Path) -> None:
    def change(raw: dict[str, Any]) -> None:
        raw |= {"temperature": 0.6, "top_k": 7, "gpt_cond_len": 12, "gpt_cond_chunk_len": 6, "max_ref_len": 10}
        raw |= {"sound_norm_refs": True, "languages": ["ko", "en"], "fixed_codes_per_token": None}
        del raw["repetition_penalty"]

    edit_config(directory, change)
    loaded = load(directory, tmp_path)
    assert (loaded.config.sampling.temperature, loaded.config.sampling.top_k) == (0.6, 7)
    assert loaded.config.sampling.repetition_penalty == XttsConfig().repetition_penalty
    conditioning = loaded.config.conditioning
    assert (conditioning.length_s, conditioning.chunk_s, conditioning.max_reference_s) == (12, 6, 10)
    assert conditioning.normalize_volume
    assert loaded.config.languages == ("ko", "en")
    assert loaded.config.fixed_codes_per_token is None
    assert loaded.notices == ()


def test_trainer_checkpoint_with_old_names_is_the_same_model(
    directory: Path, tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    def as_trained(tensors: Tensors) -> object:
        old = {}
        for name, tensor in tensors.items():
            name = name.replace(".parametrizations.weight.original0", ".weight_g")
            old["xtts." + name.replace(".parametrizations.weight.original1", ".weight_v")] = tensor
        extra = torch.full((2,), torch.nan)  # never read, whatever it holds
        old |= {"torch_mel_spectrogram_style_encoder.mel_stft.window": extra, "xtts.dvae.codebook": extra}
        old |= {"xtts.gpt.gpt_inference.lm_head.0.weight": extra, "xtts.gpt.gpt.wte.weight": extra}
        old |= {"xtts.gpt.gpt.h.0.attn.bias": extra}
        return {"model": old, "step": 12, "config": {"model": "xtts"}, "scaler": None}

    as_pickle(directory, as_trained)
    assert_same_tensors(load(directory, tmp_path).tensors, tiny_checkpoint.tensors)


def test_half_precision_becomes_float32(directory: Path, tmp_path: Path) -> None:
    as_pickle(
        directory,
        lambda tensors: {"model": {n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}},
    )
    tensors = load(directory, tmp_path).tensors
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32, torch.int64}


@contextmanager
def old_module_names() -> Iterator[None]:
    """Pickle coqui's classes under the module that held them when XTTS v2 was published."""
    classes = (XttsArgs, XttsAudioConfig)
    modules = [cls.__module__ for cls in classes]
    try:
        for cls in classes:
            cls.__module__ = "TTS.tts.models.xtts"
        yield
    finally:
        for cls, module in zip(classes, modules, strict=True):
            cls.__module__ = module


def test_pickle_with_coquis_config_objects_loads(directory: Path, tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    with old_module_names():
        as_pickle(directory, lambda tensors: {"config": XttsConfig(), "model": tensors, "step": 0})
    assert_same_tensors(load(directory, tmp_path).tensors, tiny_checkpoint.tensors)


class Intruder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickle_that_would_run_a_program_is_refused(directory: Path, tmp_path: Path) -> None:
    as_pickle(directory, lambda tensors: {"model": tensors, "config": Intruder(tmp_path / "executed")})
    with pytest.raises(CheckpointError, match=r"unsafe unpickling.*safetensors"):
        load(directory, tmp_path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["config.json", "vocab.json", "model.safetensors"])
def test_missing_file_is_named(directory: Path, tmp_path: Path, name: str) -> None:
    (directory / name).unlink()
    with pytest.raises(CheckpointError, match=f"lacks {name}"):
        load(directory, tmp_path)


@pytest.mark.parametrize("name", ["config.json", "vocab.json", "model.safetensors", "model.pth"])
def test_file_cut_off_is_named(directory: Path, tmp_path: Path, name: str) -> None:
    if name == "model.pth":
        as_pickle(directory, lambda tensors: {"model": tensors})
    content = (directory / name).read_bytes()
    (directory / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=name):
        load(directory, tmp_path)


def test_tensors_missing_unexpected_and_misshapen_are_named(directory: Path, tmp_path: Path) -> None:
    def change(tensors: Tensors) -> None:
        del tensors["gpt.final_norm.weight"]
        tensors["gpt.surprise"] = torch.zeros(1)
        tensors[STOP_BIAS] = torch.zeros(5)

    edit_tensors(directory, change)
    with pytest.raises(CheckpointError) as caught:
        load(directory, tmp_path)
    message = caught.value.message
    assert "model.safetensors" in message
    assert "missing gpt.final_norm.weight" in message
    assert "unexpected gpt.surprise" in message
    assert f"{STOP_BIAS} is [5], should be [1026]" in message


def test_more_layers_in_the_config_than_in_the_weights_is_refused(directory: Path, tmp_path: Path) -> None:
    edit_config(directory, lambda raw: raw["model_args"].update(gpt_layers=30))
    with pytest.raises(CheckpointError, match=r"missing gpt\.gpt\.h\.4\.attn.*in all"):
        load(directory, tmp_path)


def test_another_vocoder_is_refused(directory: Path, tmp_path: Path) -> None:
    edit_tensors(directory, lambda tensors: tensors.pop(VOCODER + "resblocks.11.convs2.2.bias"))
    with pytest.raises(CheckpointError, match="resblocks"):
        load(directory, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("gpt_use_perceiver_resampler", False, "XTTS v1"),
        ("output_sample_rate", 22_050, "output_sample_rate"),
        ("gpt_code_stride_len", 256, "gpt_code_stride_len"),
        ("gpt_n_heads", 3, "gpt_n_heads"),
        ("gpt_layers", "four", "gpt_layers"),
        ("gpt_stop_audio_token", 4_000, "gpt_stop_audio_token"),
        ("decoder_input_dim", 1_024, "decoder_input_dim"),
    ],
)
def test_another_architecture_is_refused(directory: Path, tmp_path: Path, key: str, value: object, reason: str) -> None:
    edit_config(directory, lambda raw: raw["model_args"].update({key: value}))
    with pytest.raises(CheckpointError, match=reason):
        load(directory, tmp_path)


def test_another_model_is_refused(directory: Path, tmp_path: Path) -> None:
    edit_config(directory, lambda raw: raw.update(model="vits"))
    with pytest.raises(CheckpointError, match="vits"):
        load(directory, tmp_path)


@pytest.mark.parametrize("section", [[1], {"surprise": 1}, {"upsample_rates": [8, 8, 2]}])
def test_vocoder_section_that_makes_no_sense_is_refused(directory: Path, tmp_path: Path, section: object) -> None:
    edit_config(directory, lambda raw: raw.update(vocoder=section))
    with pytest.raises(CheckpointError, match="vocoder section"):
        load(directory, tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_refused(directory: Path, tmp_path: Path, value: float) -> None:
    def change(tensors: Tensors) -> None:
        tensors["gpt.gpt.h.2.mlp.c_fc.weight"][3, 5] = value

    edit_tensors(directory, change)
    with pytest.raises(CheckpointError, match=r"not finite.*gpt\.gpt\.h\.2\.mlp\.c_fc\.weight"):
        load(directory, tmp_path)


def test_vocabulary_larger_than_the_embedding_is_refused(directory: Path, tmp_path: Path) -> None:
    def change(tensors: Tensors) -> None:
        tensors["gpt.text_embedding.weight"] = tensors["gpt.text_embedding.weight"][:100].clone()

    edit_tensors(directory, change)
    with pytest.raises(CheckpointError, match=r"ids up to 6680, the weights know 100"):
        load(directory, tmp_path)


def test_speakers_come_as_voices(directory: Path, tmp_path: Path) -> None:
    latents, embedding = torch.randn(1, 32, 128), torch.randn(1, 512, 1)
    speakers = {"Ana": {"gpt_cond_latent": latents, "speaker_embedding": embedding}}
    torch.save(speakers, directory / "speakers_xtts.pth")
    voice = load(directory, tmp_path).speakers["Ana"]
    assert torch.equal(voice.cond_latents, latents[0])
    assert torch.equal(voice.speaker_embedding, embedding.flatten())


def test_speakers_of_another_model_are_refused(directory: Path, tmp_path: Path) -> None:
    speakers = {"Ana": {"gpt_cond_latent": torch.randn(1, 32, 1024), "speaker_embedding": torch.randn(1, 512, 1)}}
    torch.save(speakers, directory / "speakers_xtts.pth")
    with pytest.raises(CheckpointError, match=r"speakers_xtts\.pth"):
        load(directory, tmp_path)


def test_fingerprint_follows_weights_and_conditioning_only(directory: Path, tmp_path: Path) -> None:
    original = load(directory, tmp_path).fingerprint
    moved = Path(shutil.copytree(directory, tmp_path / "elsewhere"))
    edit_config(moved, lambda raw: raw.update(temperature=0.1))
    assert load(moved, tmp_path).fingerprint == original
    edit_config(moved, lambda raw: raw.update(gpt_cond_len=6))
    assert load(moved, tmp_path).fingerprint != original
    edit_tensors(directory, lambda tensors: tensors["mel_stats"].add_(0.5))
    assert load(directory, tmp_path).fingerprint != original


def test_hash_is_computed_once_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    first = file_sha256(path, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", None)
        assert file_sha256(path, tmp_path / "cache") == first
    path.write_bytes(b"other")
    assert file_sha256(path, tmp_path / "cache") != first


def test_hash_needs_no_writable_cache(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    assert len(file_sha256(path, path)) == 64  # a file in the directory's place
    assert "not remembered" in caplog.text


def test_published_checkpoint_needs_the_licence(tmp_path: Path) -> None:
    with pytest.raises(LicenceNotAccepted, match=r"Coqui Public Model License.*XTTS_ACCEPT_CPML=1"):
        load("xtts_v2", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", ["no/such/directory", "synthetic:huge", "synthetic:full:many", "synthetic:full:0"])
def test_unknown_model_says_what_there_is(tmp_path: Path, model: str) -> None:
    with pytest.raises(CheckpointError, match="synthetic:tiny"):
        load(model, tmp_path)
