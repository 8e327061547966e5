"""Fine-tuning on a folder of recordings: of a phoneme model with its quantiser, and of XTTS's layout with its DVAE."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from TTS.tts.layers.xtts.dvae import DiscreteVAE

from serve_app.errors import CheckpointError, RequestError
from serve_app.model.checkpoint import load_directory
from serve_app.model.synthetic import write_synthetic
from serve_app.training.coders import DvaeCoder, find_coder
from serve_app.training.finetune import Finetune, FinetuneOptions
from tests.voices.recordings import TWO_CITIES, excerpt

ROOT = Path(__file__).parents[2]
TEXTS = ("It was the best of times.", "It was the worst of times.", "It was the age of wisdom.", "Hello.", "Good day.")
OPTIONS = FinetuneOptions("charles", "en", steps=4, batch=2, validate_every=2, patience=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "wavs").mkdir()
    for number, (start_s, _) in enumerate(zip(itertools.count(0.0, 3.0), TEXTS, strict=False)):
        piece = excerpt(TWO_CITIES, start_s, start_s + 3.0)
        soundfile.write(folder / "wavs" / f"r{number}.wav", piece.samples, piece.sample_rate_hz)
    soundfile.write(folder / "wavs" / "silent.wav", np.zeros(22_050), 22_050)
    lines = [f"r{number}|{text}" for number, text in enumerate(TEXTS)] + ["silent|Nothing at all."]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`synthetic:tiny` in the published layout, with a DVAE of random weights."""
    directory = tmp_path_factory.mktemp("models") / "published"
    write_synthetic(directory, "synthetic:tiny", "model.pth")
    torch.manual_seed(0)
    dvae = DiscreteVAE(
        channels=80, normalization=None, positional_dims=1, num_tokens=1_024, codebook_dim=512, hidden_dim=512,
        num_resnet_blocks=3, kernel_size=3, num_layers=2, use_transposed_convs=False,
    )  # fmt: skip
    torch.save(dvae.state_dict(), directory / "dvae.pth")
    torch.save(torch.full((80,), 5.0), directory / "mel_stats.pth")
    return directory


def _tune(base: Path, data: Path, output: Path, options: FinetuneOptions = OPTIONS) -> tuple[Finetune, list[str]]:
    lines: list[str] = []
    return Finetune(base, data, output, options, lines.append), lines


def test_dvae_gives_a_code_for_every_1024_samples(base: Path) -> None:
    coder = find_coder(base, load_directory(base, cache_dir=base / "cache", progress=lambda _: None).config.gpt)
    assert isinstance(coder, DvaeCoder)
    for num_samples in (1024 * 20, 1024 * 20 + 1, 30_000):
        codes, components = coder.encode(torch.randn(num_samples) * 0.1)
        assert codes.shape == (-(-num_samples // 1024),)
        assert components is None
        assert codes.min() >= 0 and codes.max() < 1_024


@pytest.mark.long
def test_a_published_layout_learns_and_loads(base: Path, data: Path, tmp_path: Path) -> None:
    tune, lines = _tune(base, data, tmp_path)
    assert any("silent.wav" in line for line in lines)
    before = tune.checkpoint.tensors["gpt.gpt.h.0.attn.c_attn.weight"].clone()
    learnt = tune.train_gpt()
    tune.export(learnt | tune.train_vocoder(learnt))
    tuned = load_directory(tmp_path, cache_dir=tmp_path / "cache", progress=lambda _: None)
    assert next(iter(tuned.speakers)) == "charles"
    assert not torch.equal(tuned.tensors["gpt.gpt.h.0.attn.c_attn.weight"], before)
    vocoder = "hifigan_decoder.waveform_decoder.conv_pre.weight"
    assert torch.allclose(tuned.tensors[vocoder], tune.checkpoint.tensors[vocoder], atol=1e-3)
    assert (tmp_path / "dvae.pth").is_file()  # so that it can be fine-tuned again


@pytest.mark.long
def test_it_learns_what_it_is_given(base: Path, data: Path, tmp_path: Path) -> None:
    options = FinetuneOptions("charles", "en", steps=24, batch=4, validate_every=6, learning_rate=2e-3)
    tune, _ = _tune(base, data, tmp_path, options)
    tune.train_gpt()
    trained = torch.load(tmp_path / "training" / "gpt.pt", weights_only=True)["state"]["history"]
    assert trained[-1]["code"] < trained[0]["code"] - 0.2


@pytest.mark.long
def test_a_stopped_run_goes_on(base: Path, data: Path, tmp_path: Path) -> None:
    tune, _ = _tune(base, data, tmp_path)
    tune.train_gpt()
    longer = FinetuneOptions("charles", "en", steps=6, batch=2, validate_every=2, patience=9)
    again, lines = _tune(base, data, tmp_path, longer)
    again.train_gpt()
    assert not any("recordings," in line for line in lines)  # not read again
    steps = [line.split()[1] for line in lines if line.startswith("step")]
    assert steps == ["6"]


@pytest.mark.long
def test_it_stops_when_it_gets_no_better(base: Path, data: Path, tmp_path: Path) -> None:
    options = FinetuneOptions("charles", "en", steps=1_000, batch=2, validate_every=1, patience=2, learning_rate=0.5)
    tune, lines = _tune(base, data, tmp_path, options)
    tune.train_gpt()
    assert len([line for line in lines if line.startswith("step")]) < 20


def test_a_base_without_a_coder_is_refused(data: Path, tmp_path: Path, tiny_directory: Path) -> None:
    with pytest.raises(CheckpointError, match="no coder"):
        _tune(tiny_directory, data, tmp_path)


def test_a_language_that_the_base_lacks_is_refused(base: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not speak 'xx'"):
        _tune(base, data, tmp_path, FinetuneOptions("charles", "xx"))


def test_too_few_recordings_are_refused(base: Path, data: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    (few / "wavs").symlink_to(data / "wavs")
    (few / "metadata.csv").write_text("r0|Hello.\n", encoding="utf-8")
    with pytest.raises(RequestError, match="1 recordings can be used"):
        _tune(base, few, tmp_path / "out")


@pytest.mark.long
def test_the_command_compares_before_and_after(base: Path, data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "serve_app", "finetune", "--data", str(data), "--base", str(base)]
    command += ["-o", str(tmp_path), "--steps", "2", "--validate-every", "1", "--batch", "2", "--voice", "charles"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert result.returncode == 0, result.stderr[-2_000:]
    table = (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert [line.split("|")[1].strip() for line in table.splitlines()] == [
        "model",
        "---",
        "the recordings themselves",
        "before",
        "after",
    ]
    assert "not installed" not in table
    assert (tmp_path / "gpt.png").is_file()
