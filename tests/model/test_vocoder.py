from dataclasses import replace

import pytest
import torch
from torch import Tensor

from serve_app.errors import CheckpointError
from serve_app.model.config import VocoderConfig
from serve_app.model.vocoder import PREFIX, Vocoder, folded_weight
from tests.engine.reference import load
from tests.engine.support import BFLOAT16, CPU, largest_difference, make_vocoder, make_voice

TINY = "synthetic:tiny"


def _frames(num_frames: int, width: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, width, num_frames, generator=torch.Generator().manual_seed(num_frames))


@torch.no_grad()
def _coquis(model: str, frames: Tensor, speaker: Tensor) -> Tensor:
    _, coqui = load(model)
    samples: Tensor = coqui.hifigan_decoder.waveform_decoder(frames, g=speaker[:, :, None])
    return samples[:, 0]


@pytest.mark.parametrize("model", [TINY, "synthetic:full:2"])
def test_samples_equal_coquis(model: str) -> None:
    checkpoint, _ = load(model)
    frames = _frames(48, checkpoint.config.vocoder.input_width)
    speaker = make_voice(checkpoint, 1).speaker_embedding[None]
    expected = _coquis(model, frames, speaker)
    assert expected.shape == (1, 48 * 256)
    assert expected.std() > 0.05
    with torch.inference_mode():
        assert largest_difference(make_vocoder(checkpoint)(frames, speaker), expected) < 1e-5


@torch.inference_mode()
def test_rows_of_a_batch_are_those_alone() -> None:
    checkpoint, _ = load(TINY)
    vocoder = make_vocoder(checkpoint)
    frames = _frames(40, 128, batch=5)
    speakers = torch.stack([make_voice(checkpoint, seed).speaker_embedding for seed in range(5)])
    together = vocoder(frames, speakers)
    for row in range(5):
        alone = vocoder(frames[row : row + 1], speakers[row : row + 1])
        assert largest_difference(together[row : row + 1], alone) < 1e-5
    assert largest_difference(together[:1], vocoder(frames[:1], speakers[1:2])) > 0.01  # a voice is heard


@torch.inference_mode()
def test_context_is_as_wide_as_needed_and_no_wider() -> None:
    """A changed frame is heard within `context_frames` either side, and in the outermost of them indeed."""
    checkpoint, _ = load(TINY)
    vocoder = make_vocoder(checkpoint)
    context = vocoder.context_frames
    assert context == 14
    frames, speaker = _frames(61, 128), make_voice(checkpoint, 1).speaker_embedding[None]
    other = frames.clone()
    other[:, :, 30] += 5.0
    difference = (vocoder(frames, speaker) - vocoder(other, speaker)).abs().view(61, 256).amax(dim=1)
    touched = difference.nonzero().flatten()
    assert touched.min() >= 30 - context
    assert touched.max() <= 30 + context
    assert touched.max() - touched.min() >= 2 * context - 2


@torch.inference_mode()
def test_window_with_context_has_the_samples_of_the_whole() -> None:
    checkpoint, _ = load(TINY)
    vocoder = make_vocoder(checkpoint)
    frames, speaker = _frames(120, 128), make_voice(checkpoint, 1).speaker_embedding[None]
    whole = vocoder(frames, speaker)[:, 50 * 256 : 60 * 256]
    context = vocoder.context_frames
    window = vocoder(frames[:, :, 50 - context : 60 + context], speaker)
    assert largest_difference(window[:, context * 256 : (context + 10) * 256], whole) < 1e-5
    half = context // 2
    short = vocoder(frames[:, :, 50 - half : 60 + half], speaker)
    assert largest_difference(short[:, half * 256 : (half + 10) * 256], whole) > 1e-4


@torch.inference_mode()
def test_bfloat16_is_near() -> None:
    checkpoint, _ = load(TINY)
    frames, speaker = _frames(60, 128), make_voice(checkpoint, 1).speaker_embedding[None]
    near = make_vocoder(checkpoint, BFLOAT16)(frames, speaker)
    exact = make_vocoder(checkpoint)(frames, speaker)
    assert near.dtype is torch.float32
    assert largest_difference(near, exact) < 0.05


def test_weight_norm_is_folded_whichever_way_it_is_stored() -> None:
    checkpoint, _ = load(TINY)
    name = f"{PREFIX}ups.0"
    g, v = (checkpoint.tensors[f"{name}.parametrizations.weight.original{part}"] for part in (0, 1))
    plain = folded_weight(checkpoint.tensors, name)
    assert largest_difference(plain.flatten(1).norm(dim=1), g.flatten()) < 1e-5  # g is each filter's length
    assert torch.equal(folded_weight({f"{name}.weight_g": g, f"{name}.weight_v": v}, name), plain)
    assert torch.equal(folded_weight({f"{name}.weight": plain}, name), plain)


def test_missing_weight_is_named() -> None:
    with pytest.raises(CheckpointError, match="conv_pre"):
        Vocoder(VocoderConfig(), {}, device=CPU, dtype=torch.float32)


def test_context_follows_the_configuration() -> None:
    checkpoint, _ = load(TINY)
    config = replace(checkpoint.config.vocoder, resblock_dilations=((1, 3, 15),) * 3)
    wider = Vocoder(config, checkpoint.tensors, device=CPU, dtype=torch.float32)
    assert wider.context_frames > 14
