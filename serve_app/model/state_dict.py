"""Names and shapes of a checkpoint's tensors: what XTTS v2 has, and what a file may hold beside it. Reads no files."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from serve_app.errors import CheckpointError
from serve_app.model.config import GptConfig, ModelConfig, VocoderConfig
from serve_app.model.modules import (
    NUM_MELS,
    build_conditioning_encoder,
    build_perceiver,
    build_speaker_encoder,
)

CONDITIONING_ENCODER = "gpt.conditioning_encoder."
PERCEIVER = "gpt.conditioning_perceiver."
SPEAKER_ENCODER = "hifigan_decoder.speaker_encoder."
VOCODER = "hifigan_decoder.waveform_decoder."
MEL_STATS = "mel_stats"

MAX_NAMES_SHOWN = 3

# Left in a file by a trainer (Xtts.get_compatible_checkpoint_state_dict) or by `init_gpt_for_inference`.
IGNORED_FIRST_PARTS = frozenset({"torch_mel_spectrogram_style_encoder", "torch_mel_spectrogram_dvae", "dvae"})
IGNORED_PREFIXES = ("gpt.gpt_inference.", "gpt.gpt.wte.")
IGNORED_SUFFIXES = (".attn.bias", ".attn.masked_bias")  # causal masks, once saved by transformers
# torch.nn.utils.weight_norm, as checkpoints older than torch's parametrizations name it.
WEIGHT_NORM_SUFFIXES = {
    ".weight_g": ".parametrizations.weight.original0",
    ".weight_v": ".parametrizations.weight.original1",
}


def canonical(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under the names of coqui-tts 0.28's `Xtts.state_dict()`, without those that no model part reads.

    Floating-point tensors come as float32: a view of the given tensor where it is float32 already, else a copy.
    """
    tensors = {}
    for name, tensor in state.items():
        name = _canonical_name(name)
        if name.partition(".")[0] in IGNORED_FIRST_PARTS:
            continue
        if name.startswith(IGNORED_PREFIXES) or (name.startswith("gpt.gpt.h.") and name.endswith(IGNORED_SUFFIXES)):
            continue
        tensors[name] = tensor.detach().float() if tensor.is_floating_point() else tensor.detach()
    return tensors


def _canonical_name(name: str) -> str:
    name = name.removeprefix("xtts.")
    for old, new in WEIGHT_NORM_SUFFIXES.items():
        if name.startswith(VOCODER) and name.endswith(old):
            return name.removesuffix(old) + new
    return name


def tensor_shapes(config: ModelConfig) -> dict[str, torch.Size]:
    """Name → shape of every tensor that a checkpoint of this configuration has."""
    parts = {
        CONDITIONING_ENCODER: build_conditioning_encoder(config.gpt),
        PERCEIVER: build_perceiver(config.gpt),
        SPEAKER_ENCODER: build_speaker_encoder(config.vocoder),
    }
    shapes = {MEL_STATS: torch.Size([NUM_MELS])} | _gpt_shapes(config.gpt) | _vocoder_shapes(config.vocoder)
    for prefix, module in parts.items():
        shapes |= {prefix + name: tensor.shape for name, tensor in module.state_dict().items()}
    return shapes


def _gpt_shapes(gpt: GptConfig) -> dict[str, torch.Size]:
    """The GPT-2 inside `TTS.tts.layers.xtts.gpt.GPT`, its embeddings and heads. GPT-2's matrices are [in, out]."""
    width = gpt.width
    shapes: dict[str, tuple[int, ...]] = {
        "text_embedding.weight": (gpt.num_text_tokens, width),
        "mel_embedding.weight": (gpt.num_audio_tokens, width),
        "text_pos_embedding.emb.weight": (gpt.num_text_positions, width),
        "mel_pos_embedding.emb.weight": (gpt.num_audio_positions, width),
        "text_head.weight": (gpt.num_text_tokens, width),
        "text_head.bias": (gpt.num_text_tokens,),
        "mel_head.weight": (gpt.num_audio_tokens, width),
        "mel_head.bias": (gpt.num_audio_tokens,),
    }
    linears = {"attn.c_attn": (width, 3 * width), "attn.c_proj": (width, width)}
    linears |= {"mlp.c_fc": (width, 4 * width), "mlp.c_proj": (4 * width, width)}
    norms = ["final_norm", "gpt.ln_f"]
    for layer in range(gpt.num_layers):
        norms += [f"gpt.h.{layer}.ln_1", f"gpt.h.{layer}.ln_2"]
        for name, (num_in, num_out) in linears.items():
            shapes[f"gpt.h.{layer}.{name}.weight"] = (num_in, num_out)
            shapes[f"gpt.h.{layer}.{name}.bias"] = (num_out,)
    for name in norms:
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return {f"gpt.{name}": torch.Size(shape) for name, shape in shapes.items()}


def _vocoder_shapes(vocoder: VocoderConfig) -> dict[str, torch.Size]:
    """`TTS.vocoder.models.hifigan_generator.HifiganGenerator` as coqui's `HifiDecoder` builds it, weight norm on."""
    channels = vocoder.initial_channels
    plain: dict[str, tuple[int, ...]] = {
        "conv_pre": (channels, vocoder.input_width, 7),
        "cond_layer": (channels, vocoder.speaker_width, 1),
    }
    normed: dict[str, tuple[int, ...]] = {}
    blocks = [*zip(vocoder.resblock_kernel_sizes, vocoder.resblock_dilations, strict=True)]
    for stage, kernel in enumerate(vocoder.upsample_kernel_sizes):
        normed[f"ups.{stage}"] = (channels, channels // 2, kernel)  # transposed: [in, out, kernel]
        channels //= 2
        plain[f"conds.{stage}"] = (channels, vocoder.speaker_width, 1)
        for number, (size, dilations) in enumerate(blocks, start=stage * len(blocks)):
            for part in (f"{convs}.{index}" for convs in ("convs1", "convs2") for index in range(len(dilations))):
                normed[f"resblocks.{number}.{part}"] = (channels, channels, size)
    shapes: dict[str, tuple[int, ...]] = {"conv_post.weight": (1, channels, 7)}
    for name, shape in plain.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, shape in normed.items():
        num_out = shape[1] if name.startswith("ups.") else shape[0]
        weight = f"{name}.parametrizations.weight"
        shapes |= {f"{name}.bias": (num_out,), f"{weight}.original0": (shape[0], 1, 1), f"{weight}.original1": shape}
    return {VOCODER + name: torch.Size(shape) for name, shape in shapes.items()}


def infer_vocoder(tensors: Mapping[str, torch.Tensor], base: VocoderConfig) -> VocoderConfig:
    """`base` with the sizes that the tensors show. A transposed convolution is taken to be twice its stride long,
    as in HiFi-GAN's published configurations; dilations leave no trace in shapes and stay those of `base`.
    """
    first = tensors.get(f"{VOCODER}conv_pre.weight")
    if first is None or first.dim() != 3:
        return base  # `check_tensors` says what is missing
    up_shapes = _shapes_in_order(tensors, VOCODER + "ups.{}.parametrizations.weight.original1")
    num_up = max(len(up_shapes), 1)
    block_shapes = _shapes_in_order(tensors, VOCODER + "resblocks.{}.convs1.0.parametrizations.weight.original1")
    blocks = block_shapes[: len(block_shapes) // num_up]
    if not blocks or len(blocks) != len(base.resblock_dilations):
        return base
    kernels = tuple(shape[2] for shape in up_shapes)
    return replace(
        base,
        initial_channels=first.shape[0],
        input_width=first.shape[1],
        upsample_kernel_sizes=kernels,
        upsample_rates=tuple(kernel // 2 for kernel in kernels),
        resblock_kernel_sizes=tuple(shape[2] for shape in blocks),
    )


def _shapes_in_order(tensors: Mapping[str, torch.Tensor], pattern: str) -> list[torch.Size]:
    shapes: list[torch.Size] = []
    while (tensor := tensors.get(pattern.format(len(shapes)))) is not None and tensor.dim() == 3:
        shapes.append(tensor.shape)
    return shapes


def check_tensors(tensors: Mapping[str, torch.Tensor], config: ModelConfig, source: str) -> None:
    """Raise CheckpointError, with the first names, for tensors that are not those of `config`, or not finite."""
    expected = tensor_shapes(config)
    shown = [f"{name} is {list(tensors[name].shape)}, should be {list(expected[name])}"
             for name in expected if name in tensors and tensors[name].shape != expected[name]]  # fmt: skip
    problems = [
        _problem("missing", [name for name in expected if name not in tensors]),
        _problem("unexpected", [name for name in tensors if name not in expected]),
        _problem("of another shape", shown),
    ]
    if any(problems):
        raise CheckpointError(
            f"{source} does not hold XTTS v2 as its config.json describes it: tensors "
            + "; ".join(problem for problem in problems if problem)
            + ". Use a complete XTTS v2 checkpoint together with its own config.json."
        )
    broken = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if broken:
        raise CheckpointError(
            f"{source} holds numbers that are not finite: tensors {_problem('', broken)}. "
            "The file is damaged or its training diverged: fetch it again or use an earlier checkpoint."
        )


def _problem(kind: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f", … ({len(names)} in all)" if len(names) > MAX_NAMES_SHOWN else ""
    return f"{kind} {', '.join(names[:MAX_NAMES_SHOWN])}{more}".strip()


def _is_finite(tensor: torch.Tensor) -> bool:
    # A sum takes no memory and runs at the speed of reading; NaN and infinity show in it.
    if not tensor.is_floating_point() or bool(torch.isfinite(tensor.sum())):
        return True
    return bool(torch.isfinite(tensor).all())
