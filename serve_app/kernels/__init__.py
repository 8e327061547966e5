"""GPU kernels of ours, in Triton: what a decode step would otherwise do in several small ones each. They know shapes,
no model. Nothing imports Triton before `load_kernels` is called.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Kernels:
    """See the modules of their names."""

    add_norm: Callable[..., tuple[Tensor, Tensor]]
    decode_attention: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    sample: Callable[..., tuple[Tensor, Tensor]]


def load_kernels() -> Kernels:
    """They are compiled when they are first called, by Triton, which needs a C compiler for that."""
    from serve_app.kernels.add_norm import add_norm
    from serve_app.kernels.decode_attention import decode_attention
    from serve_app.kernels.sample import sample

    return Kernels(add_norm, decode_attention, sample)
