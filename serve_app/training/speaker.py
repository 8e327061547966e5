"""Stage `speaker`: the speaker encoder learns to say of a recording what a larger one says of it.

Distilled, not trained to tell our few voices apart, so that a voice it never heard lands beside those it resembles.
"""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.functional import resample
from TTS.encoder.models.resnet import ResNetSpeakerEncoder

from serve_app.model.config import VocoderConfig
from serve_app.model.modules import SPEAKER_ENCODER_AUDIO
from serve_app.training.codes import EncodedVoice
from serve_app.training.references import draw_reference
from serve_app.training.speaker_teacher import SpeakerTeacher
from serve_app.training.spectrogram import SAMPLE_RATE_HZ

logger = logging.getLogger(__name__)

BATCH = 24
SECONDS = 2.4
LEARNING_RATE = 1e-3
NOISE = (0.0, 0.01)  # root mean square of added noise
REPORT_EVERY = 25


def new_speaker_encoder(config: VocoderConfig) -> nn.Module:
    """Samples [batch, n] at 16 kHz → [batch, speaker width]."""
    encoder = ResNetSpeakerEncoder(
        input_dim=SPEAKER_ENCODER_AUDIO["num_mels"],
        proj_dim=config.speaker_width,
        num_filters=list(config.speaker_encoder_channels),
        log_input=True,
        use_torch_spec=True,
        audio_config=SPEAKER_ENCODER_AUDIO,
    )
    assert isinstance(encoder, nn.Module)
    return encoder


def train_speaker_encoder(
    encoder: nn.Module,
    voices: Sequence[EncodedVoice],
    steps: int,
    checkpoint_file: Path,
    report: Callable[[str], None],
) -> list[dict[str, float]]:
    """Trains to `steps`, resuming from `checkpoint_file`; gives the history of losses."""
    device = next(encoder.parameters()).device
    teacher = SpeakerTeacher().to(device)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps + 1, pct_start=0.1)
    history: list[dict[str, float]] = []
    step = 0
    if checkpoint_file.is_file():
        saved: dict[str, Any] = torch.load(checkpoint_file, map_location="cpu", weights_only=True)
        encoder.load_state_dict(saved["encoder"])
        optimizer.load_state_dict(saved["optimizer"])
        step, history = saved["step"], saved["history"]
        for _ in range(step):
            schedule.step()
    encoder.train()
    sums: list[float] = []
    started_s = time.monotonic()
    while step < steps:
        draw = np.random.default_rng([23, step])
        clean = draw_voices(voices, draw).to(device)
        target = teacher(clean).clone()
        is_noisy = torch.rand(len(clean), 1, device=device) < 0.5
        noise = torch.randn_like(clean) * float(draw.uniform(*NOISE)) * is_noisy
        found = functional.normalize(encoder(clean + noise), dim=1)
        distance = (1.0 - (found * target).sum(dim=1)).mean()
        between = (found @ found.T - target @ target.T).pow(2).mean()
        loss = distance + between
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        step += 1
        sums.append(distance.item())
        if step % REPORT_EVERY == 0 or step == steps:
            history.append({"step": step, "distance": float(np.mean(sums))})
            report(f"step {step} of {steps} ({time.monotonic() - started_s:.0f} s)  distance {np.mean(sums):.4f}")
            sums.clear()
            torch.save(
                {
                    "encoder": encoder.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step,
                    "history": history,
                },
                checkpoint_file,
            )
    return history


def draw_voices(voices: Sequence[EncodedVoice], draw: np.random.Generator) -> Tensor:
    """[batch, n] at 16 kHz: voices drawn evenly, each replayed a little faster or slower: another voice."""
    pieces: list[Tensor] = []
    length = int(SECONDS * 16_000)
    for voice in draw.choice(len(voices), size=BATCH):
        rate_hz = int(round(SAMPLE_RATE_HZ * draw.uniform(0.85, 1.18) / 350) * 350)
        needed = int(SECONDS * rate_hz) + 400
        samples = resample(draw_reference(voices[voice], needed, draw), rate_hz, 16_000, lowpass_filter_width=4)
        pieces.append(samples[:length])
    return torch.stack(pieces)
