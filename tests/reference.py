"""coqui-tts's own XTTS, built from a directory in coqui's layout: what parity tests compare with."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
from TTS.tts.models.xtts import Xtts

from serve_app.bench.coqui import QuickXtts
from serve_app.model.config import GptConfig, VocoderConfig


def load_coqui(directory: Path) -> Xtts:
    """coqui's `Xtts` in eval mode, float32 on the CPU, ready for `inference` and `gpt.generate`.

    Weights are loaded strictly. Sizes that coqui fixes come from our own keys of config.json, where they are there.
    """
    config = XttsConfig()
    config.load_json(str(directory / "config.json"))
    ours = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    num_blocks = ours.get("num_conditioning_blocks", GptConfig().num_conditioning_blocks)
    tokenizer = VoiceBpeTokenizer(vocab_file=directory / "vocab.json")
    config.model_args.gpt_number_text_tokens = tokenizer.get_number_tokens()
    config.model_args.gpt_start_text_token = tokenizer.tokenizer.token_to_id("[START]")
    config.model_args.gpt_stop_text_token = tokenizer.tokenizer.token_to_id("[STOP]")
    model = QuickXtts(config, num_blocks, VocoderConfig(**ours.get("vocoder", {})))
    model.tokenizer = tokenizer
    model.load_state_dict(_read_weights(directory), strict=True, assign=True)
    model.requires_grad_(False)
    model.eval()  # builds `gpt_inference` too
    left_on_meta = [name for name, tensor in (*model.named_parameters(), *model.named_buffers()) if tensor.is_meta]
    assert not left_on_meta, left_on_meta
    return model


def _read_weights(directory: Path) -> dict[str, torch.Tensor]:
    if (directory / "model.safetensors").exists():
        return load_file(directory / "model.safetensors")
    weights: dict[str, torch.Tensor] = torch.load(directory / "model.pth", weights_only=True)["model"]
    return weights
