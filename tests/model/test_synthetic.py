from pathlib import Path

import pytest
import torch
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.models.xtts import Xtts

from serve_app.model.checkpoint import Checkpoint
from serve_app.model.config import GptConfig, VocoderConfig
from serve_app.model.state_dict import tensor_shapes
from serve_app.model.synthetic import CODES_PER_TOKEN, synthetic_config, synthetic_tensors, write_synthetic
from serve_app.model.vocoder import Vocoder
from tests.reference import load_coqui


def test_full_is_the_published_configuration() -> None:
    config = synthetic_config("synthetic:full")
    assert config.gpt == GptConfig()
    assert config.vocoder == VocoderConfig()
    assert config.fixed_codes_per_token == CODES_PER_TOKEN
    shapes = tensor_shapes(config)
    assert sum(shape.numel() for name, shape in shapes.items() if name.startswith("gpt.")) == 441_018_563


def test_layers_are_those_asked_for() -> None:
    assert synthetic_config("synthetic:full:4").gpt == GptConfig(num_layers=4)
    assert synthetic_config("synthetic:tiny:2").gpt.num_layers == 2


def test_names_and_shapes_are_coquis(tiny_directory: Path) -> None:
    expected = {
        name: tensor.shape
        for name, tensor in load_coqui(tiny_directory).state_dict().items()
        if not name.startswith(("gpt.gpt_inference.", "gpt.gpt.wte."))
    }
    assert tensor_shapes(synthetic_config("synthetic:tiny")) == expected


@pytest.mark.slow
def test_coquis_own_loader_takes_the_directory(tmp_path: Path) -> None:
    write_synthetic(tmp_path, "synthetic:full:1", "model.pth")
    config = XttsConfig()
    config.load_json(str(tmp_path / "config.json"))
    model = Xtts(config)
    model.load_checkpoint(config, checkpoint_dir=tmp_path)
    tensors = synthetic_tensors(synthetic_config("synthetic:full:1"))
    state = model.state_dict()
    assert [name for name in tensors if not torch.equal(tensors[name], state[name])] == []


def test_weights_are_the_same_on_every_run(tiny_checkpoint: Checkpoint) -> None:
    again = synthetic_tensors(synthetic_config("synthetic:tiny"))
    assert [name for name in again if not torch.equal(again[name], tiny_checkpoint.tensors[name])] == []
    assert all(tensor.dtype == torch.float32 for tensor in again.values() if tensor.is_floating_point())


@pytest.fixture(scope="module")
def spoken(tiny_directory: Path) -> dict[str, torch.Tensor]:
    """What coqui's model makes of the tiny weights: greedy codes, latents, logits and the waveform."""
    model = load_coqui(tiny_directory)
    voice = torch.randn(1, 32, 128, generator=torch.Generator().manual_seed(1))
    speaker = torch.nn.functional.normalize(torch.ones(1, 512, 1), dim=1)
    text = torch.tensor([model.tokenizer.encode("hello world, this is a test.", "en")])
    with torch.no_grad():
        codes = model.gpt.generate(
            cond_latents=voice, text_inputs=text, do_sample=False, repetition_penalty=5.0, max_new_tokens=40
        )
        latents = model.gpt(
            text,
            torch.tensor([text.shape[1]]),
            codes,
            torch.tensor([codes.shape[1] * 1024]),
            cond_latents=voice,
            return_latent=True,
        )
        samples = model.hifigan_decoder(latents, g=speaker)[0, 0]
        logits = model.gpt.mel_head(latents)[0]
    return {"codes": codes[0], "latents": latents[0], "logits": logits, "samples": samples}


def test_stop_and_start_are_never_chosen(spoken: dict[str, torch.Tensor]) -> None:
    assert len(spoken["codes"]) == 40
    assert spoken["codes"].max() < 1024


def test_logits_leave_a_choice_and_have_a_best(spoken: dict[str, torch.Tensor]) -> None:
    logits = spoken["logits"][:, :1024]
    assert 1.5 < logits.std() < 4.0
    assert 0.05 < logits.softmax(dim=-1).max(dim=-1).values.mean() < 0.9
    assert 0.8 < spoken["latents"].std() < 1.2


def test_waveform_is_audible_centred_and_not_saturated(spoken: dict[str, torch.Tensor]) -> None:
    samples = spoken["samples"]
    assert 0.1 < samples.std() < 0.4
    assert samples.mean().abs() < 0.01
    assert (samples.abs() > 0.99).float().mean() < 1e-3


def test_waveform_depends_on_the_voice(tiny_checkpoint: Checkpoint) -> None:
    config, tensors = tiny_checkpoint.config.vocoder, tiny_checkpoint.tensors
    vocoder = Vocoder(config, tensors, device=torch.device("cpu"), dtype=torch.float32)
    generator = torch.Generator().manual_seed(2)
    frames = torch.randn(1, 128, 40, generator=generator)
    voices = torch.nn.functional.normalize(torch.randn(2, 512, generator=generator), dim=1)
    with torch.no_grad():
        one, other = vocoder(frames.expand(2, -1, -1), voices)
    assert (one - other).std() > 0.02
