"""XTTS's conditioning encoder: mel frames of a reference to vectors, by attention over all of them.

Ours, on coqui's weights, because importing coqui's brings the whole of transformers into every process that serves.
Same numbers as `TTS.tts.layers.tortoise.autoregressive.ConditioningEncoder`.
"""

import math

from torch import Tensor, nn
from torch.nn import functional

MAX_GROUPS = 32  # of GroupNorm, as TTS.tts.layers.tortoise.arch_utils.normalization chooses for widths above 64


class AttentionBlock(nn.Module):
    """Unmasked self-attention over time. The residual is the normalised input, as in the reference."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        assert width > 64 and width % num_heads == 0
        self.num_heads = num_heads
        self.norm = nn.GroupNorm(math.gcd(width, MAX_GROUPS), width)
        self.qkv = nn.Conv1d(width, 3 * width, 1)
        self.proj_out = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, width, frames] → the same shape."""
        batch, width, num_frames = x.shape
        x = self.norm(x)
        qkv = self.qkv(x).view(batch, self.num_heads, 3, width // self.num_heads, num_frames)
        query, key, value = qkv.transpose(3, 4).unbind(2)  # [batch, heads, frames, head size] each
        attended = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = x + self.proj_out(attended.transpose(2, 3).reshape(batch, width, num_frames))
        return out


class ConditioningEncoder(nn.Module):
    """Mel frames [batch, num mels, frames] → [batch, width, frames]."""

    def __init__(self, num_mels: int, width: int, num_heads: int, num_blocks: int = 6) -> None:
        super().__init__()
        self.init = nn.Conv1d(num_mels, width, 1)
        self.attn = nn.Sequential(*(AttentionBlock(width, num_heads) for _ in range(num_blocks)))

    def forward(self, mel: Tensor) -> Tensor:
        vectors: Tensor = self.attn(self.init(mel))
        return vectors
