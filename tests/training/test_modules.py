"""The modules that learn are the ones that serve: same weights, same numbers."""

import pytest
import torch
from torch import Tensor

from serve_app.model.state_dict import VOCODER
from serve_app.training.gpt_module import GptModule
from serve_app.training.vocoder_module import VocoderModule
from serve_app.training.windows import read_latents_instead
from tests.engine.reference import greedy, load, second_pass
from tests.engine.support import largest_difference, make_tokens, make_vocoder, make_voice

NUM_CODES = 30


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _codes(seed: int) -> list[int]:
    return torch.randint(0, 1_024, (NUM_CODES,), generator=torch.Generator().manual_seed(seed)).tolist()


@torch.no_grad()
def test_latents_of_a_padded_batch_equal_coquis() -> None:
    """Rows of other lengths beside it change nothing, and padding is seen by nobody."""
    checkpoint, coqui = load("synthetic:tiny")
    gpt = checkpoint.config.gpt
    module = GptModule(gpt)
    module.load_state_dict(_part(checkpoint.tensors, "gpt."), strict=True)
    lengths = (21, 9)
    texts = [make_tokens(length, seed) for seed, length in enumerate(lengths, start=1)]
    voices = [make_voice(checkpoint, seed) for seed in (1, 2)]
    text = torch.full((2, max(lengths) + 2), gpt.stop_text_token)
    for row, tokens in enumerate(texts):
        text[row, : len(tokens) + 2] = torch.tensor([gpt.start_text_token, *tokens, gpt.stop_text_token])
    codes = torch.tensor([[gpt.start_audio_token, *_codes(seed)[:-1]] for seed in (1, 2)])
    cond_latents = torch.stack([voice.cond_latents for voice in voices])
    out = module(cond_latents, text, torch.tensor(lengths) + 2, codes, read_attention=(1,))
    for row in range(2):
        prompt = greedy(texts[row], voices[row], NUM_CODES)
        expected = second_pass(coqui, prompt, _codes(row + 1))
        assert largest_difference(out.audio_latents[row], expected) < 1e-4
    (shares,) = out.attention
    assert shares.shape == (2, NUM_CODES, max(lengths) + 2)
    assert shares[1, :, lengths[1] + 2 :].max() < 1e-6
    assert shares.sum(-1).min() > 0.0 and shares.sum(-1).max() <= 1.0 + 1e-5


@torch.no_grad()
def test_conditioning_equals_what_serves() -> None:
    from serve_app.model.modules import build_conditioning_encoder, build_perceiver, fill
    from serve_app.model.state_dict import CONDITIONING_ENCODER, PERCEIVER

    checkpoint, _ = load("synthetic:tiny")
    gpt, tensors = checkpoint.config.gpt, checkpoint.tensors
    module = GptModule(gpt).eval()
    module.load_state_dict(_part(tensors, "gpt."), strict=True)
    mel = torch.randn(2, 80, 120, generator=torch.Generator().manual_seed(2))
    frames = fill(build_conditioning_encoder(gpt), tensors, CONDITIONING_ENCODER)(mel)
    expected = fill(build_perceiver(gpt), tensors, PERCEIVER)(frames.transpose(1, 2))
    assert largest_difference(module.condition(mel), expected) < 1e-5


@torch.no_grad()
def test_samples_equal_what_serves() -> None:
    checkpoint, _ = load("synthetic:tiny")
    module = VocoderModule(checkpoint.config.vocoder)
    module.generator.load_state_dict(_part(checkpoint.tensors, VOCODER), strict=True)
    frames = torch.randn(2, 128, 40, generator=torch.Generator().manual_seed(1))
    speaker = torch.stack([make_voice(checkpoint, seed).speaker_embedding for seed in (1, 2)])
    assert largest_difference(module(frames, speaker), make_vocoder(checkpoint)(frames, speaker)) < 1e-5


@torch.no_grad()
def test_first_convolution_reads_latents_as_it_read_their_patches() -> None:
    generator = torch.Generator().manual_seed(1)
    convolution, head = torch.nn.Conv1d(6, 5, 3), torch.nn.Linear(4, 6)
    latents = torch.randn(1, 4, 20, generator=generator)
    expected = convolution(head(latents.transpose(1, 2)).transpose(1, 2))
    read_latents_instead(convolution, head)
    assert convolution(latents) == pytest.approx(expected, abs=1e-5)
