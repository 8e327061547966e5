"""Stage `gpt`: learns the next code, with two teachers' aids: heads that learn where in the text they are from the
teachers' own timing, and a head that reads the mel patch from the latent, so that the vocoder finds it there.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from serve_app.model.config import GptConfig
from serve_app.training.batches import IGNORED, Batch, Batcher
from serve_app.training.device import half_precision
from serve_app.training.gpt_module import Forward, GptModule
from serve_app.training.loop import Rhythm

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GptTraining:
    """How the GPT learns. Weights are of the losses' sum; `corrupted` is the share of input codes that are changed, so
    that the model goes on after a code of its own that no recording would have had there."""

    learning_rate: float = 1.2e-3
    conditioning_rate: float = 0.15  # of it, for the conditioning encoder and perceiver: they have no norms inside
    warmup_steps: int = 400
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    num_voices: int = 8
    per_voice: int = 4
    taught_layers: tuple[int, ...] = (2, 3, 4)
    text_weight: float = 0.01
    patch_weight: float = 1.0
    attention_weight: float = 0.3
    corrupted: float = 0.12
    nearest: int = 8  # a changed code becomes one of so many neighbours, or, one time in four, any
    rhythm: Rhythm = field(default_factory=lambda: Rhythm(validate_every=500))


class Student(nn.Module):
    """The GPT and the head that reads patches from its latents, which no checkpoint keeps."""

    def __init__(self, config: GptConfig, num_components: int) -> None:
        """Without components there is nothing that the head could read."""
        super().__init__()
        self.gpt = GptModule(config)
        self.patch_head = nn.Linear(config.width, max(1, num_components))


@dataclass
class Losses:
    code: Tensor
    text: Tensor
    patch: Tensor
    attention: Tensor
    voices: Tensor  # no loss: how far the latents of one voice's references are from another's, of a spread of 1

    def total(self, how: GptTraining) -> Tensor:
        return (
            self.code
            + how.text_weight * self.text
            + how.patch_weight * self.patch
            + how.attention_weight * self.attention
        )


def losses(student: Student, cond_latents: Tensor, out: Forward, batch: Batch) -> Losses:
    logits = student.gpt.mel_head(out.audio_latents)
    code = functional.cross_entropy(logits.float().transpose(1, 2), batch.targets, ignore_index=IGNORED)
    text_logits = student.gpt.text_head(out.text_latents[:, :-1])
    device = batch.text.device
    position = torch.arange(batch.text.shape[1] - 1, device=device)
    text_targets = batch.text[:, 1:].masked_fill(position >= batch.text_lengths[:, None] - 1, IGNORED)
    text = functional.cross_entropy(text_logits.float().transpose(1, 2), text_targets, ignore_index=IGNORED)
    is_audio = batch.is_audio
    patch = torch.zeros((), device=device)
    if batch.components.shape[-1] > 0:
        patch = (student.patch_head(out.audio_latents).float() - batch.components)[is_audio].abs().mean()
    is_timed = batch.heard.any(dim=-1) & is_audio
    attention = torch.zeros((), device=device)
    for shares in out.attention:
        heard = (shares.float() * batch.heard).sum(-1)[is_timed]
        attention = attention - heard.clamp_min(1e-5).log().mean() / len(out.attention)
    voices = (cond_latents.float() - cond_latents.float().mean(dim=0)).detach().std()
    return Losses(code, text, patch, attention, voices)


def neighbours(centroids: Tensor, count: int) -> Tensor:
    """[codes, count]: the nearest other centroids of each."""
    distances = torch.cdist(centroids, centroids).fill_diagonal_(float("inf"))
    return distances.topk(count, largest=False).indices


def corrupt(codes: Tensor, near: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Codes [batch, rows] with some changed; the start code and what pads stay."""
    num_codes = len(near)
    which = torch.randint(near.shape[1], codes.shape, generator=generator)
    changed = near[codes.clamp_max(num_codes - 1), which]
    anything = torch.randint(num_codes, codes.shape, generator=generator)
    changed = torch.where(torch.rand(codes.shape, generator=generator) < 0.25, anything, changed)
    is_changed = (torch.rand(codes.shape, generator=generator) < share) & (codes < num_codes)
    return torch.where(is_changed, changed, codes)


def _groups(student: Student, how: GptTraining) -> list[dict[str, Any]]:
    """Matrices decay, the rest does not; conditioning learns slower."""
    groups: list[dict[str, Any]] = []
    for is_conditioning in (False, True):
        mine = [
            parameter for name, parameter in student.named_parameters() if ("conditioning" in name) is is_conditioning
        ]
        rate = how.conditioning_rate if is_conditioning else 1.0
        for is_matrix in (True, False):
            parameters = [parameter for parameter in mine if (parameter.dim() > 1) is is_matrix]
            decay = how.weight_decay if is_matrix else 0.0
            groups.append({"params": parameters, "weight_decay": decay, "rate": rate})
    return groups


class GptLearner:
    """Without centroids no input code is changed."""

    def __init__(self, student: Student, batcher: Batcher, centroids: Tensor | None, how: GptTraining) -> None:
        self.student, self._batcher, self._how = student, batcher, how
        self._near = neighbours(centroids, how.nearest) if centroids is not None else None
        self._device = next(student.parameters()).device
        self._optimizer = torch.optim.AdamW(_groups(student, how), lr=how.learning_rate, betas=(0.9, 0.98), fused=True)
        student.train()

    def state_dict(self) -> dict[str, Any]:
        return {"student": self.student.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.student.load_state_dict(saved["student"])
        self._optimizer.load_state_dict(saved["optimizer"])

    def learn(self, step: int, share: float) -> dict[str, float]:
        how = self._how
        draw = np.random.default_rng([17, step])
        for group in self._optimizer.param_groups:
            warm = min(1.0, (step + 1) / how.warmup_steps)
            group["lr"] = how.learning_rate * group["rate"] * warm * share
        batch = self._batcher.draw(how.num_voices, how.per_voice, draw)
        codes = batch.codes
        if self._near is not None and how.corrupted > 0.0:
            generator = torch.Generator().manual_seed(int(draw.integers(2**31)))
            codes = corrupt(codes, self._near, how.corrupted, generator)
        found = self._losses(batch, codes)
        total = found.total(how)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.student.parameters(), how.clip_norm)
        if torch.isfinite(norm):
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return {key: value.item() for key, value in vars(found).items()} | {"norm": norm.item()}

    def _losses(self, batch: Batch, codes: Tensor) -> Losses:
        gpt = self.student.gpt
        batch, codes = batch.to(self._device), codes.to(self._device)
        with half_precision(self._device):
            cond_latents = gpt.condition(batch.mels)[batch.voice_of]
            out = gpt(cond_latents, batch.text, batch.text_lengths, codes, self._how.taught_layers)
            return losses(self.student, cond_latents, out, batch)

    @torch.no_grad()
    def validate(self, size: int = 96) -> dict[str, float]:
        self.student.eval()
        draw = np.random.default_rng(5)
        found = [
            self._losses(batch, batch.codes)
            for batch in (self._batcher.validation(32, draw) for _ in range(size // 32))
        ]
        self.student.train()
        return {
            key: float(np.mean([float(getattr(each, key)) for each in found])) for key in ("code", "patch", "attention")
        }
