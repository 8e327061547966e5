"""Stage `export`: what was learnt as a checkpoint in coqui's layout, in half precision, with its voices."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from serve_app.model.checkpoint import SPEAKERS_FILE, VOICES_FILE
from serve_app.model.config import ModelConfig
from serve_app.model.config_file import to_coqui
from serve_app.model.pronunciation import PRONUNCIATIONS_FILE, Pronunciations
from serve_app.model.state_dict import MEL_STATS, SPEAKER_ENCODER, VOCODER, tensor_shapes
from serve_app.voices.voice import VoiceLatents


def gather(
    config: ModelConfig,
    gpt: Mapping[str, Tensor],
    speaker_encoder: Mapping[str, Tensor],
    vocoder: Mapping[str, Tensor],
    mel_stats: Tensor,
) -> dict[str, Tensor]:
    """The state dicts of `GptModule`, of the speaker encoder and of `VocoderModule.generator` under one checkpoint's
    names, floating-point numbers in 16 bit."""
    tensors = {MEL_STATS: mel_stats}
    tensors |= {f"gpt.{name}": tensor for name, tensor in gpt.items()}
    tensors |= {SPEAKER_ENCODER + name: tensor for name, tensor in speaker_encoder.items()}
    tensors |= {VOCODER + name: tensor for name, tensor in vocoder.items()}
    expected = tensor_shapes(config)
    wrong = {name for name in expected.keys() | tensors.keys()
             if name not in expected or name not in tensors or expected[name] != tensors[name].shape}  # fmt: skip
    assert not wrong, sorted(wrong)[:5]
    return {
        name: (tensor.half() if tensor.is_floating_point() else tensor).detach().cpu().contiguous().clone()
        for name, tensor in tensors.items()
    }


def write_checkpoint(
    directory: Path,
    config: ModelConfig,
    tensors: Mapping[str, Tensor],
    vocabulary: Mapping[str, Any],
    pronunciations: Pronunciations | None,
) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(to_coqui(config), indent=1) + "\n", encoding="utf-8")
    (directory / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False) + "\n", encoding="utf-8")
    if pronunciations is not None:
        pronunciations.write(directory / PRONUNCIATIONS_FILE)
    save_readable(tensors, directory / "model.safetensors")


def save_readable(tensors: Mapping[str, Tensor], path: Path) -> None:
    """A safetensors file that everyone may read; the library writes them for the owner alone."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    path.chmod(0o644)


def write_voices(
    directory: Path, voices: Mapping[str, VoiceLatents], descriptions: Mapping[str, Mapping[str, str]]
) -> None:
    """The voices by name, the first of which is the default; `descriptions` holds what users should know of each."""
    speakers = {
        name: {
            "gpt_cond_latent": latents.cond_latents[None].clone(),
            "speaker_embedding": latents.speaker_embedding[None, :, None].clone(),
        }
        for name, latents in voices.items()
    }
    torch.save(speakers, directory / SPEAKERS_FILE)
    text = json.dumps({name: dict(descriptions[name]) for name in voices}, indent=1)
    (directory / VOICES_FILE).write_text(text + "\n", encoding="utf-8")
