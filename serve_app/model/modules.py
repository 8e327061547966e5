"""The modules that make a voice of a recording, built without spending time on weights that loading replaces.

Knows shapes only: every module comes on the meta device, and `fill` gives it its weights.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from TTS.encoder.models.resnet import ResNetSpeakerEncoder
from TTS.tts.layers.xtts.perceiver_encoder import PerceiverResampler

from serve_app.model.conditioning_encoder import ConditioningEncoder
from serve_app.model.config import NUM_CONDITIONING_LATENTS, GptConfig, VocoderConfig

NUM_MELS = 80
DRAWS = ("normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_")

# Constants of TTS.tts.layers.xtts.hifigan_decoder.HifiDecoder.
SPEAKER_ENCODER_AUDIO = {
    "fft_size": 512,
    "win_length": 400,
    "hop_length": 160,
    "sample_rate": 16_000,
    "preemphasis": 0.97,
    "num_mels": 64,
}


class _Undrawn(TorchFunctionMode):
    """Leaves random weights undrawn: on the meta device too drawing is work, and loads all of torch's compiler."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", None) in DRAWS:  # of torch.nn.init or of a tensor
            return args[0] if args else kwargs["tensor"]
        return (torch.empty if func is torch.randn else func)(*args, **kwargs)


@contextmanager
def _weightless() -> Generator[None]:
    """Modules built within have shapes only."""
    with torch.device("meta"), _Undrawn():
        yield


def build_conditioning_encoder(gpt: GptConfig) -> nn.Module:
    """Mel frames [batch, 80, frames] → [batch, width, frames]. Its weights are named `gpt.conditioning_encoder.*`."""
    with _weightless():
        return ConditioningEncoder(NUM_MELS, gpt.width, gpt.num_heads, gpt.num_conditioning_blocks)


def build_perceiver(gpt: GptConfig) -> nn.Module:
    """[batch, frames, width] → [batch, 32, width]. Its weights are named `gpt.conditioning_perceiver.*`.

    Constants from TTS.tts.layers.xtts.gpt.GPT.
    """
    with _weightless():
        perceiver = PerceiverResampler(
            dim=gpt.width,
            depth=2,
            dim_context=gpt.width,
            num_latents=NUM_CONDITIONING_LATENTS,
            dim_head=64,
            heads=8,
            ff_mult=4,
            use_flash_attn=False,
        )
        return _module(perceiver)


def build_speaker_encoder(vocoder: VocoderConfig) -> nn.Module:
    """Samples [batch, n] at 16 kHz → [batch, speaker width]. Its weights: `hifigan_decoder.speaker_encoder.*`."""
    with _weightless():
        encoder = _speaker_encoder(vocoder, use_torch_spec=False)
    # torchaudio's filter bank looks at its own values, which meta tensors have not.
    encoder.torch_spec = encoder.get_torch_mel_spectrogram_class(SPEAKER_ENCODER_AUDIO)
    encoder.use_torch_spec = True
    return _module(encoder)


def new_speaker_encoder(vocoder: VocoderConfig) -> nn.Module:
    """The same with random weights, for training."""
    return _module(_speaker_encoder(vocoder, use_torch_spec=True))


def _speaker_encoder(vocoder: VocoderConfig, *, use_torch_spec: bool) -> ResNetSpeakerEncoder:
    return ResNetSpeakerEncoder(
        input_dim=SPEAKER_ENCODER_AUDIO["num_mels"],
        proj_dim=vocoder.speaker_width,
        num_filters=list(vocoder.speaker_encoder_channels),
        log_input=True,
        use_torch_spec=use_torch_spec,
        audio_config=SPEAKER_ENCODER_AUDIO,
    )


def fill(
    module: nn.Module, tensors: Mapping[str, torch.Tensor], prefix: str, device: torch.device | str = "cpu"
) -> nn.Module:
    """Give `module` copies of the tensors whose names start with `prefix` (ending in a dot), ready for inference.

    Copies, so that a memory-mapped checkpoint file can be let go of. A tensor missing or left over is our own mistake.
    """
    state = {
        name.removeprefix(prefix): tensor.to(device, copy=True)
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    module.load_state_dict(state, strict=True, assign=True)
    return module.requires_grad_(False).eval()


def _module(built: Any) -> nn.Module:
    assert isinstance(built, nn.Module)
    return built
