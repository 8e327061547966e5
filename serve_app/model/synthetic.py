"""Models of XTTS v2's true architecture with seeded random weights: the true cost, and noise for speech.

Knows how weights must be scaled for activations to stay sane; knows nothing of files but how to write one checkpoint.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from serve_app.errors import CheckpointError
from serve_app.model import make_vocab
from serve_app.model.config import GptConfig, ModelConfig, VocoderConfig
from serve_app.model.config_file import to_coqui
from serve_app.model.modules import NUM_MELS, build_speaker_encoder
from serve_app.model.source import SYNTHETIC_PREFIX
from serve_app.model.state_dict import MEL_STATS, SPEAKER_ENCODER, VOCODER, tensor_shapes

SEED = 20_231
VERSION = 1  # raise it when the weights change: voices encoded with the old ones must not be used with the new
CODES_PER_TOKEN = 2.5  # 15 characters a second at the 1.6 characters a token of our vocabulary
NEVER = -1_000.0  # a bias no other logit comes near, in 16 bit and after a repetition penalty too
SPELLINGS = "synthetic:tiny, synthetic:full, or either with a number of layers as in synthetic:full:4"

# Standard deviations times the square root of the fan-in, first match wins. Chosen by measuring activations.
GAINS = (
    ("gpt.mel_head.weight", 2.5),  # logits spread by 2.5: sampling has choices, near-ties are rare
    (VOCODER + "cond", 16.0),  # a voice is a vector of length 1, and must be heard
    (VOCODER + "conv_post.", 0.22),  # waveform around ±0.2, tanh far from its ends
    (".convs2.", 0.5),
    (VOCODER, math.sqrt(2.0)),
    (".se.fc.", 1.0),
    (SPEAKER_ENCODER + "attention.", 1.0),
    (SPEAKER_ENCODER + "fc.", 1.0),
    (SPEAKER_ENCODER, math.sqrt(2.0)),
    ("", 1.0),
)
# Tensors that are looked up or added, not multiplied: their own standard deviation.
DEVIATIONS = (
    ("pos_embedding.emb.weight", 0.3),
    ("embedding.weight", 1.0),
    ("perceiver.latents", 0.5),
    (".bias", 0.02),
)


def synthetic_config(model: str) -> ModelConfig:
    """The configuration of `synthetic:tiny`, `synthetic:full` or `synthetic:full:LAYERS`. Raises CheckpointError."""
    name, _, layers = model.removeprefix(SYNTHETIC_PREFIX).partition(":")
    if name == "tiny":
        gpt = GptConfig(num_layers=4, width=128, num_heads=4)
        vocoder = VocoderConfig(input_width=128, initial_channels=64)
    elif name == "full":
        gpt, vocoder = GptConfig(), VocoderConfig()
    else:
        raise CheckpointError(f"there is no synthetic model {model!r}. Use {SPELLINGS}.")
    if layers:
        if not (layers.isdecimal() and layers.isascii() and 1 <= int(layers) <= 100):
            raise CheckpointError(f"{layers!r} in {model!r} is not a number of layers from 1 to 100. Use {SPELLINGS}.")
        gpt = replace(gpt, num_layers=int(layers))
    return ModelConfig(name=model, gpt=gpt, vocoder=vocoder, fixed_codes_per_token=CODES_PER_TOKEN)


def synthetic_tensors(config: ModelConfig) -> dict[str, torch.Tensor]:
    """Random float32 weights under the names of coqui's `Xtts.state_dict()`; the same on every run.

    A tensor follows from its name and shape alone. Neither the stop nor the start code is ever the best: a caller
    who wants a model that stops raises `gpt.mel_head.bias[stop_audio_token]`.
    """
    shapes = tensor_shapes(config)
    constants = _constants(config)
    drawn = [name for name in shapes if name not in constants]
    residual_gain = 1.0 / math.sqrt(2 * config.gpt.num_layers)  # as GPT-2 scales what is added to its residual stream
    # One thread a tensor: the generator is serial, and torch lets go of the interpreter while it draws.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        values = pool.map(lambda name: _draw(name, shapes, residual_gain), drawn)
        tensors = constants | dict(zip(drawn, values, strict=True))
    tensors["gpt.mel_head.bias"][[config.gpt.stop_audio_token, config.gpt.start_audio_token]] = NEVER
    return {name: tensors[name] for name in shapes}


def _constants(config: ModelConfig) -> dict[str, torch.Tensor]:
    """Spectrogram windows and filter banks are no weights, and a checkpoint holds them all the same."""
    speaker_encoder = build_speaker_encoder(config.vocoder).state_dict()
    constants = {SPEAKER_ENCODER + name: value for name, value in speaker_encoder.items() if "torch_spec." in name}
    return constants | {MEL_STATS: torch.linspace(4.0, 6.0, NUM_MELS)}


def _draw(name: str, shapes: Mapping[str, torch.Size], residual_gain: float) -> torch.Tensor:
    shape = shapes[name]
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith(("running_mean", "running_var")):
        return torch.full(shape, float(name.endswith("var")))
    noise = _noise(name, shape)
    if name.endswith("original0"):  # weight norm: the length of each filter, whose direction is `original1`
        return noise.mul_(0.05).add_(1.0).mul_(_filter_length(name[:-1] + "1", shapes))
    if len(shape) == 1 and name.endswith((".weight", ".gamma")):  # norms
        return noise.mul_(0.1).add_(1.0)
    for ending, deviation in DEVIATIONS:
        if name.endswith(ending):
            return noise.mul_(deviation)
    if name.startswith("gpt.gpt.") and name.endswith("c_proj.weight"):
        return noise.mul_(residual_gain / math.sqrt(_fan_in(name, shape)))
    if name.startswith(VOCODER + "conv_post."):
        noise -= noise.mean(dim=-1, keepdim=True)  # passes no constant: the waveform is centred
    return noise.mul_(_deviation(name, shape))


def _deviation(name: str, shape: torch.Size) -> float:
    return next(gain for part, gain in GAINS if part in name) / math.sqrt(_fan_in(name, shape))


def _filter_length(name: str, shapes: Mapping[str, torch.Size]) -> float:
    shape = shapes[name]
    return _deviation(name, shape) * math.sqrt(math.prod(shape[1:]))


def _noise(name: str, shape: torch.Size) -> torch.Tensor:
    seed = int.from_bytes(hashlib.sha256(f"{SEED}:{name}".encode()).digest()[:6], "big")
    return torch.empty(shape, dtype=torch.float32).normal_(generator=torch.Generator().manual_seed(seed))


def _fan_in(name: str, shape: torch.Size) -> int:
    if name.startswith("gpt.gpt.h."):
        return shape[0]  # GPT-2's matrices are [in, out]
    if ".ups." in name:
        return shape[0] * 2  # a transposed convolution twice as long as its stride: two taps reach each sample
    return math.prod(shape[1:])


def write_synthetic(directory: Path, model: str, weights_file: str = "model.safetensors") -> None:
    """Write a synthetic model as a directory in coqui's layout, which coqui's `Xtts.load_checkpoint` reads too
    (`model.pth` only, and published vocoder sizes only)."""
    config = synthetic_config(model)
    write_layout(directory, config, synthetic_tensors(config), weights_file)


def write_layout(
    directory: Path, config: ModelConfig, tensors: Mapping[str, torch.Tensor], weights_file: str = "model.safetensors"
) -> None:
    """Write config.json, our own vocab.json and the weights as `model.safetensors` or `model.pth`. Raises OSError."""
    assert weights_file in ("model.safetensors", "model.pth")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(to_coqui(config), indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(make_vocab.VOCAB_FILE, directory / "vocab.json")
    if weights_file == "model.pth":
        torch.save({"model": dict(tensors)}, directory / weights_file)
    else:
        save_file(dict(tensors), directory / weights_file)
