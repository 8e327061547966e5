"""XTTS's GPT as a module that learns: names of parameters as in coqui's checkpoints, several sequences at once.

The same numbers as `serve_app.model.gpt`, without a cache. Attention of chosen heads can be read, to be taught.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from TTS.tts.layers.xtts.perceiver_encoder import PerceiverResampler

from serve_app.model.conditioning_encoder import ConditioningEncoder
from serve_app.model.config import NUM_CONDITIONING_LATENTS, GptConfig
from serve_app.model.modules import NUM_MELS

INIT_STD = 0.02


class Product(nn.Module):
    """GPT-2's linear layer, its matrix kept as [in, out]."""

    def __init__(self, num_in: int, num_out: int, std: float = INIT_STD) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_in, num_out) * std)
        self.bias = nn.Parameter(torch.zeros(num_out))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight.T, self.bias)


class Attention(nn.Module):
    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.c_attn = Product(config.width, 3 * config.width)
        self.c_proj = Product(config.width, config.width, INIT_STD / math.sqrt(2 * config.num_layers))

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """[batch, rows, width], mask [batch × heads, rows, rows] → the same, and the first head's attention [batch,
        rows, rows]. Written out: torch's fused attention takes longer to learn by on a CPU, in 16 bit."""
        batch, rows, width = x.shape
        qkv = self.c_attn(x).view(batch, rows, 3, self.num_heads, width // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).flatten(1, 2)
        scale = 1.0 / math.sqrt(width // self.num_heads)
        shares = torch.baddbmm(mask.to(query.dtype), query, key.transpose(1, 2), alpha=scale).softmax(-1)
        attended = torch.bmm(shares, value).view(batch, self.num_heads, rows, -1)
        first_head = shares.view(batch, self.num_heads, rows, rows)[:, 0]
        return self.c_proj(attended.transpose(1, 2).reshape(batch, rows, width)), first_head


class Mlp(nn.Module):
    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.c_fc = Product(config.width, 4 * config.width)
        self.c_proj = Product(4 * config.width, config.width, INIT_STD / math.sqrt(2 * config.num_layers))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c_proj(functional.gelu(self.c_fc(x), approximate="tanh"))
        return out


class Block(nn.Module):
    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.width)
        self.attn = Attention(config)
        self.ln_2 = nn.LayerNorm(config.width)
        self.mlp = Mlp(config)


class Transformer(nn.Module):
    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.h = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.ln_f = nn.LayerNorm(config.width)


class Positions(nn.Module):
    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(count, width)
        nn.init.normal_(self.emb.weight, std=INIT_STD)


@dataclass(frozen=True)
class Forward:
    """`text_latents` [batch, text rows, width], `audio_latents` [batch, audio rows, width]: after both norms.

    `attention`: for each layer asked for, the first head's attention from audio to text rows, [batch, audio rows, text
    rows], shares of 1 over all that a row sees.
    """

    text_latents: Tensor
    audio_latents: Tensor
    attention: list[Tensor]


class GptModule(nn.Module):
    """Parameters are named as a checkpoint's `gpt.*`."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.text_embedding = nn.Embedding(config.num_text_tokens, width)
        self.mel_embedding = nn.Embedding(config.num_audio_tokens, width)
        self.text_pos_embedding = Positions(config.num_text_positions, width)
        self.mel_pos_embedding = Positions(config.num_audio_positions, width)
        self.gpt = Transformer(config)
        self.final_norm = nn.LayerNorm(width)
        self.text_head = nn.Linear(width, config.num_text_tokens)
        self.mel_head = nn.Linear(width, config.num_audio_tokens)
        self.conditioning_encoder = ConditioningEncoder(
            NUM_MELS, width, config.num_heads, config.num_conditioning_blocks
        )
        self.conditioning_perceiver = PerceiverResampler(
            dim=width, depth=2, dim_context=width, num_latents=NUM_CONDITIONING_LATENTS, dim_head=64, heads=8,
            ff_mult=4, use_flash_attn=False,
        )  # fmt: skip
        for module in (self.text_embedding, self.mel_embedding, self.text_head, self.mel_head):
            nn.init.normal_(module.weight, std=INIT_STD)

    def condition(self, mel: Tensor) -> Tensor:
        """Reference mels [voices, 80, frames] → [voices, 32, width]."""
        latents: Tensor = self.conditioning_perceiver(self.conditioning_encoder(mel).transpose(1, 2))
        return latents

    def forward(
        self,
        cond_latents: Tensor,
        text: Tensor,
        text_lengths: Tensor,
        codes: Tensor,
        read_attention: Sequence[int] = (),
    ) -> Forward:
        """`cond_latents` [batch, 32, width]; `text` [batch, text rows] with START and STOP, padded at its end;
        `codes` [batch, audio rows], the start code first, padded at its end. Causal, and no row sees padding."""
        num_text, num_audio = text.shape[1], codes.shape[1]
        text_rows = self.text_embedding(text) + self.text_pos_embedding.emb.weight[:num_text]
        audio_rows = self.mel_embedding(codes) + self.mel_pos_embedding.emb.weight[:num_audio]
        x = torch.cat([cond_latents, text_rows, audio_rows], dim=1)
        mask = _mask(text_lengths, num_text, num_audio).repeat_interleave(self.config.num_heads, dim=0)
        mask = mask.to(torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype)
        first_text, first_audio = NUM_CONDITIONING_LATENTS, NUM_CONDITIONING_LATENTS + num_text
        attention: list[Tensor] = []
        for layer, block in enumerate(cast(list[Block], self.gpt.h)):
            attended, shares = block.attn(block.ln_1(x), mask)
            if layer in read_attention:
                attention.append(shares[:, first_audio:, first_text:first_audio])
            x = x + attended
            x = x + block.mlp(block.ln_2(x))
        latents = self.final_norm(self.gpt.ln_f(x))
        return Forward(latents[:, first_text:first_audio], latents[:, first_audio:], attention)


def _mask(text_lengths: Tensor, num_text: int, num_audio: int) -> Tensor:
    """[batch, rows, rows]: 0 where a row may look, a large negative number elsewhere."""
    rows = NUM_CONDITIONING_LATENTS + num_text + num_audio
    is_visible = torch.ones(rows, rows, dtype=torch.bool, device=text_lengths.device).tril()[None]
    position = torch.arange(rows, device=text_lengths.device) - NUM_CONDITIONING_LATENTS
    is_padding = (position[None] >= text_lengths[:, None]) & (position[None] < num_text)
    visible = is_visible & ~is_padding[:, None, :]
    # padding rows see themselves, lest their softmax be empty
    visible = visible | torch.eye(rows, dtype=torch.bool, device=text_lengths.device)[None]
    return torch.zeros(visible.shape, device=text_lengths.device).masked_fill(~visible, -1e4)
