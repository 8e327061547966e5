from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from serve_app.audio.pcm import Samples
from serve_app.errors import ReferenceTooShort
from serve_app.model.checkpoint import Checkpoint, load_checkpoint
from serve_app.model.conditioning import REFERENCE_RATE_HZ, VoiceEncoder
from serve_app.model.config import ConditioningConfig
from serve_app.voices.voice import VoiceLatents
from tests.reference import load_coqui


def voice_like(duration_s: float, pitch_hz: float = 140.0, level: float = 0.3) -> Samples:
    time_s = np.arange(int(duration_s * REFERENCE_RATE_HZ)) / REFERENCE_RATE_HZ
    phase = 2 * np.pi * pitch_hz * time_s + 3 * np.sin(4 * time_s)
    tone = sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.6 + 0.4 * np.sin(9 * time_s))
    noise = np.random.default_rng(5).standard_normal(len(time_s)) * 0.01
    samples: Samples = (level * (tone / 2 + noise)).astype(np.float32)
    return samples


def coquis_latents(directory: Path, samples: Samples, config: ConditioningConfig) -> VoiceLatents:
    """`Xtts.get_conditioning_latents` after its decoding of the file, with the arguments `synthesize` gives it."""
    model = load_coqui(directory)
    audio = torch.from_numpy(samples)[None, : REFERENCE_RATE_HZ * config.max_reference_s]
    if config.normalize_volume:
        audio = (audio / torch.abs(audio).max()) * 0.75
    embedding = model.get_speaker_embedding(audio.clone(), REFERENCE_RATE_HZ)
    latents = model.get_gpt_cond_latents(audio, REFERENCE_RATE_HZ, length=config.length_s, chunk_length=config.chunk_s)
    return VoiceLatents(latents[0].clone(), embedding.flatten().clone())


def assert_close(actual: VoiceLatents, expected: VoiceLatents) -> None:
    torch.testing.assert_close(actual.cond_latents, expected.cond_latents, atol=1e-5, rtol=0)
    torch.testing.assert_close(actual.speaker_embedding, expected.speaker_embedding, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("duration_s", "config"),
    [
        (3.0, ConditioningConfig()),
        (8.2, ConditioningConfig()),  # the rest of 0.2 s is left out
        (9.0, ConditioningConfig(length_s=6, chunk_s=6, max_reference_s=8)),
        (13.0, ConditioningConfig(length_s=12, chunk_s=4, max_reference_s=10, normalize_volume=True)),
        (5.0, ConditioningConfig(length_s=-1, chunk_s=4)),
    ],
)
def test_latents_equal_coquis(
    tiny_checkpoint: Checkpoint, tiny_directory: Path, duration_s: float, config: ConditioningConfig
) -> None:
    checkpoint = replace(tiny_checkpoint, config=replace(tiny_checkpoint.config, conditioning=config))
    samples = voice_like(duration_s)
    assert_close(VoiceEncoder(checkpoint).encode(samples), coquis_latents(tiny_directory, samples, config))


@pytest.mark.slow
def test_latents_equal_coquis_at_full_width(full_directory: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(str(full_directory), accept_cpml=False, cache_dir=tmp_path, progress=lambda line: None)
    samples = voice_like(6.0)
    expected = coquis_latents(full_directory, samples, checkpoint.config.conditioning)
    assert_close(VoiceEncoder(checkpoint).encode(samples), expected)


def test_voices_differ(tiny_checkpoint: Checkpoint) -> None:
    encoder = VoiceEncoder(tiny_checkpoint)
    low, high = encoder.encode(voice_like(4.0, 110.0)), encoder.encode(voice_like(4.0, 230.0))
    assert (low.cond_latents - high.cond_latents).abs().mean() > 0.05
    assert (low.speaker_embedding - high.speaker_embedding).norm() > 0.05


def test_seconds_beyond_the_maximum_do_not_count(tiny_checkpoint: Checkpoint) -> None:
    encoder = VoiceEncoder(tiny_checkpoint)
    longest = voice_like(30.0)
    longer = np.concatenate([longest, voice_like(5.0, 300.0)])
    assert torch.equal(encoder.encode(longest).cond_latents, encoder.encode(longer).cond_latents)
    assert torch.equal(encoder.encode(longest).speaker_embedding, encoder.encode(longer).speaker_embedding)


def test_threads_do_not_disturb_each_other(tiny_checkpoint: Checkpoint) -> None:
    encoder = VoiceEncoder(tiny_checkpoint)
    recordings = [voice_like(2.0 + 0.1 * i, 100.0 + 20 * i) for i in range(8)]
    alone = [encoder.encode(samples) for samples in recordings]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(encoder.encode, recordings))
    for one, other in zip(alone, together, strict=True):
        assert_close(one, other)


def test_weights_are_its_own(tiny_directory: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(str(tiny_directory), accept_cpml=False, cache_dir=tmp_path, progress=lambda line: None)
    encoder = VoiceEncoder(checkpoint)
    before = encoder.encode(voice_like(2.0))
    checkpoint.tensors.clear()
    assert_close(encoder.encode(voice_like(2.0)), before)


def test_global_state_of_torch_is_left_alone(tiny_checkpoint: Checkpoint) -> None:
    def state() -> tuple[object, ...]:
        return torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_rng_state().sum()

    before = state()
    latents = VoiceEncoder(tiny_checkpoint).encode(voice_like(2.0))
    assert state() == before
    assert not latents.cond_latents.is_inference()


def test_samples_are_not_written_to(tiny_checkpoint: Checkpoint) -> None:
    samples = voice_like(2.0)
    before = samples.copy()
    samples.flags.writeable = False
    VoiceEncoder(tiny_checkpoint).encode(samples)
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize("num_samples", [0, 1, 7_000])
def test_almost_nothing_is_refused(tiny_checkpoint: Checkpoint, num_samples: int) -> None:
    with pytest.raises(ReferenceTooShort, match="6 to 15 seconds"):
        VoiceEncoder(tiny_checkpoint).encode(np.zeros(num_samples, dtype=np.float32))


def test_silence_has_finite_latents(tiny_checkpoint: Checkpoint) -> None:
    config = replace(tiny_checkpoint.config, conditioning=ConditioningConfig(normalize_volume=True))
    latents = VoiceEncoder(replace(tiny_checkpoint, config=config)).encode(np.zeros(44_100, dtype=np.float32))
    assert torch.isfinite(latents.cond_latents).all()
