"""XTTS's GPT: a GPT-2 decoder over conditioning latents, text tokens and audio codes. Stateless: attention, with its
cache, is handed in. Same numbers as `TTS.tts.layers.xtts.gpt.GPT` in float32; knows neither slots nor sampling.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from serve_app.kernels import Kernels
from serve_app.model.config import GptConfig
from serve_app.model.linear import MakeLinear, linear_maker

LAYER_NORM_EPS = 1e-5  # GPT2Config.layer_norm_epsilon and nn.LayerNorm's default alike


class Attend(Protocol):
    """Writes the rows' keys and values to the cache of a layer and attends over it.

    `qkv` [rows, 3, heads, head size] → [rows, heads, head size].
    """

    def __call__(self, layer: int, qkv: Tensor) -> Tensor: ...


class LayerNorm:
    """Layer norm in float32, whatever the products' format."""

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        prefix: str,
        device: torch.device,
        kernels: Kernels | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`dtype`: of what kernels give, which is what the products read."""
        self._weight = tensors[f"{prefix}.weight"].to(device, torch.float32, copy=True)
        self._bias = tensors[f"{prefix}.bias"].to(device, torch.float32, copy=True)
        self._kernels, self._dtype = kernels, dtype

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self._weight.shape, self._weight, self._bias, LAYER_NORM_EPS)

    def of_sum(self, x: Tensor, more: Tensor | None) -> tuple[Tensor, Tensor]:
        """The sum of both [rows, width], which is `x` where there is no more, and its norm."""
        if self._kernels is not None:
            return self._kernels.add_norm(x, more, self._weight, self._bias, LAYER_NORM_EPS, self._dtype)
        total = x if more is None else x + more
        return total, self(total)


class Block:
    """One pre-norm transformer block; the residual stream stays float32."""

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        prefix: str,
        config: GptConfig,
        make: MakeLinear,
        norms: Sequence[LayerNorm],
    ) -> None:
        self._heads, self._head_size = config.num_heads, config.head_size
        self._norm_1, self._norm_2 = norms
        # transformers' Conv1D keeps its weight as [in, out]
        self._qkv = make(tensors[f"{prefix}.attn.c_attn.weight"].T, tensors[f"{prefix}.attn.c_attn.bias"], "none")
        self._out = make(tensors[f"{prefix}.attn.c_proj.weight"].T, tensors[f"{prefix}.attn.c_proj.bias"], "none")
        self._up = make(tensors[f"{prefix}.mlp.c_fc.weight"].T, tensors[f"{prefix}.mlp.c_fc.bias"], "gelu")
        self._down = make(tensors[f"{prefix}.mlp.c_proj.weight"].T, tensors[f"{prefix}.mlp.c_proj.bias"], "none")

    def __call__(self, x: Tensor, more: Tensor | None, layer: int, attend: Attend) -> tuple[Tensor, Tensor]:
        """The residual stream and what is still to be added to it, in and out."""
        rows = x.shape[0]
        x, normed = self._norm_1.of_sum(x, more)
        qkv = self._qkv(normed).view(rows, 3, self._heads, self._head_size)
        attended = attend(layer, qkv).reshape(rows, -1)  # [rows, width]
        x, normed = self._norm_2.of_sum(x, self._out(attended))
        return x, self._down(self._up(normed))


class Gpt:
    """Embeddings, blocks, both final norms and the audio head.

    `tensors` are named as in coqui's checkpoint (`gpt.…`). They are copied, since they may be a mapped file that is
    replaced one day. Embeddings, norms and head are float32, the blocks' matrices what `make_linear` makes of them. A
    row is one position of one sequence; rows of many sequences lie one after another, and only `attend` knows which
    belongs to which.
    """

    def __init__(
        self,
        config: GptConfig,
        tensors: Mapping[str, Tensor],
        *,
        device: torch.device,
        make_linear: MakeLinear,
        kernels: Kernels | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`kernels`: to be used for norms, whose results are then in the products' `dtype`."""
        self.config = config

        def table(name: str) -> Tensor:
            return tensors[f"gpt.{name}.weight"].to(device, torch.float32, copy=True)

        self._text_embedding = table("text_embedding")
        self._text_positions = table("text_pos_embedding.emb")
        self._audio_embedding = table("mel_embedding")
        self._audio_positions = table("mel_pos_embedding.emb")
        self._blocks = []
        for layer in range(config.num_layers):
            prefix = f"gpt.gpt.h.{layer}"
            norms = [LayerNorm(tensors, f"{prefix}.{name}", device, kernels, dtype) for name in ("ln_1", "ln_2")]
            self._blocks.append(Block(tensors, prefix, config, make_linear, norms))
        self._gpt2_norm = LayerNorm(tensors, "gpt.gpt.ln_f", device)
        self._final_norm = LayerNorm(tensors, "gpt.final_norm", device)
        # 16 bit would round scores to ties, and the penalty multiplies what is rounded.
        make_head = linear_maker(device, torch.float32, is_int8=False)
        self._audio_head = make_head(tensors["gpt.mel_head.weight"], tensors["gpt.mel_head.bias"], "none")

    def embed_prefix(self, cond_latents: Tensor, text_tokens: Tensor) -> Tensor:
        """Latents [32, width], text ids [n] → rows [n + 35, width] float32: latents, START text STOP, start code."""
        config = self.config
        ids = functional.pad(text_tokens, (1, 0), value=config.start_text_token)
        ids = functional.pad(ids, (0, 1), value=config.stop_text_token)
        text = self._text_embedding[ids] + self._text_positions[: len(ids)]
        start = torch.tensor([config.start_audio_token], device=text.device)
        audio = self.embed_codes(start, torch.zeros_like(start))
        return torch.cat([cond_latents.to(text), text, audio])

    def embed_prefixes(self, cond_latents: Tensor, text: Tensor, lengths: Tensor) -> Tensor:
        """The same for many of as many rows: latents [n, 32, width]; text ids with START and STOP, and anything after
        them, [n, rows − 32]; each one's rows up to its start code [n] → [n × rows, width]. Reads nothing of the host.
        """
        positions = torch.arange(text.shape[1], device=text.device).clamp_max(len(self._text_positions) - 1)
        rows = torch.cat([cond_latents, self._text_embedding[text] + self._text_positions[positions]], dim=1)
        start = self._audio_embedding[self.config.start_audio_token] + self._audio_positions[0]
        is_start = torch.arange(rows.shape[1], device=text.device) == lengths[:, None] - 1
        return torch.where(is_start[:, :, None], start, rows).flatten(0, 1)

    def embed_codes(self, codes: Tensor, positions: Tensor) -> Tensor:
        """Audio ids [rows] at audio positions [rows], counted from 0 at the start code → [rows, width] float32."""
        return self._audio_embedding[codes] + self._audio_positions[positions]

    def hidden(self, x: Tensor, attend: Attend) -> Tensor:
        """Rows [rows, width] float32 → what leaves the last block, [rows, width] float32."""
        more = None
        for layer, block in enumerate(self._blocks):
            x, more = block(x, more, layer, attend)
        return x if more is None else x + more

    def latents(self, hidden: Tensor) -> Tensor:
        """What the vocoder and the head read, [rows, width] float32: GPT-2's own last norm, then XTTS's."""
        return self._final_norm(self._gpt2_norm(hidden))

    def logits(self, latents: Tensor) -> Tensor:
        """Scores of the next code, [rows, audio ids] float32."""
        return self._audio_head(latents)
