"""What is kept of a slot beside its keys and values: codes, latents, ids seen, how to sample. Knows no sequences."""

from dataclasses import dataclass

import torch
from torch import Tensor

from serve_app.engine.sampler import NEAR_TIE, SamplingRows, sample
from serve_app.engine.sequence import SamplingParams
from serve_app.kernels import Kernels
from serve_app.model.config import GptConfig

PLACEHOLDER_ID = 1  # coqui fills the prefix with this id before `generate`, so the penalty always sees it


@dataclass(frozen=True)
class SlotState:
    """One row a slot."""

    latents: Tensor  # [slots, max codes, width] float32
    codes: Tensor  # [slots, max codes] int64
    seen: Tensor  # [slots, audio ids] bool
    sampling: SamplingRows
    kernels: Kernels | None = None

    @staticmethod
    def empty(config: GptConfig, num_slots: int, device: torch.device, kernels: Kernels | None = None) -> "SlotState":
        return SlotState(
            torch.empty(num_slots, config.max_codes, config.width, device=device),
            torch.zeros(num_slots, config.max_codes, dtype=torch.int64, device=device),
            torch.zeros(num_slots, config.num_audio_tokens, dtype=torch.bool, device=device),
            SamplingRows.of([SamplingParams()] * num_slots, config.num_audio_tokens, device),
            kernels,
        )

    def clear(self, slots: Tensor, start: int) -> None:
        """For new sequences at `slots` [rows] int64, of which the penalty sees only what their prefix is made of."""
        self.seen.index_fill_(0, slots, False)
        self.seen[:, PLACEHOLDER_ID].index_fill_(0, slots, True)
        self.seen[:, start].index_fill_(0, slots, True)


@dataclass(frozen=True)
class Rows:
    """The rows of a pass: where their results are kept and how many codes they have, [rows] int64."""

    slots: Tensor
    positions: Tensor


def choose(
    state: SlotState, rows: Rows, seen: Tensor, latents: Tensor, logits: Tensor, params: SamplingRows, stop: int
) -> Tensor:
    """Chooses and keeps the next code of each row, whose ids seen are `seen` [rows, audio ids].

    → [3, rows] int64: codes, whether all scores are finite, whether it was a near-tie. Neither waits for the device nor
    reads from the host.
    """
    if state.kernels is None:
        codes, is_near_tie = sample(logits, seen, rows.positions, params, stop)
    else:
        codes, is_near_tie = state.kernels.sample(logits, seen, rows.positions, params.columns, stop, NEAR_TIE)
    is_finite = torch.isfinite(logits).all(dim=-1)
    found = torch.stack([codes, is_finite.long(), is_near_tie.long()])
    state.latents[rows.slots, rows.positions] = latents
    state.codes[rows.slots, rows.positions] = codes
    # last: it is what a repetition reads. A plain True would be copied from the host
    state.seen[rows.slots, codes] = torch.ones_like(codes, dtype=torch.bool)
    return found
