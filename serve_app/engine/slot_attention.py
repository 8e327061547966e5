"""Whether a GPU's decode steps attend by our own kernel or by PyTorch's. Knows how to compare them."""

import logging
from dataclasses import replace

import torch

from serve_app.engine.kv_cache import AttendFirst, KvCache
from serve_app.model.config import GptConfig

logger = logging.getLogger(__name__)

POSITIONS = (0, 5, 128, 129, 700)  # of rows that are compared: nothing cached, part of a block, blocks and a little
TOLERANCES = {torch.float32: 1e-4, torch.float16: 5e-3, torch.bfloat16: 3e-2}  # of values that spread by 1


def find_kernel(config: GptConfig, device: torch.device, dtype: torch.dtype) -> AttendFirst | None:
    """The kernel, where it can be compiled and gives what PyTorch's attention gives; else None, and the log says why.

    Triton compiles a part of its own with the machine's C compiler, which an image may lack.
    """
    try:
        from serve_app.engine.slot_attention_kernel import attend

        difference = _difference(attend, config, device, dtype)
    except Exception as error:  # noqa: BLE001  whatever it is, PyTorch's attention will do
        logger.warning("no attention kernel, so long sequences take longer: %s", error)
        return None
    if not difference < TOLERANCES[dtype]:
        logger.warning("no attention kernel, so long sequences take longer: it is off by %g", difference)
        return None
    return attend


@torch.inference_mode()
def _difference(attend: AttendFirst, config: GptConfig, device: torch.device, dtype: torch.dtype) -> float:
    """The largest one, of what comes out and of what stands in the cache; NaN where either gave that."""
    shapes, generator = replace(config, num_layers=1), torch.Generator().manual_seed(0)
    num_rows = len(POSITIONS)
    ways = [
        KvCache(shapes, num_rows, device=device, dtype=dtype, is_finite=True, kernel=kernel)
        for kernel in (attend, None)
    ]
    prefixes = torch.randn(sum(POSITIONS), 3, shapes.num_heads, shapes.head_size, generator=generator)
    new = torch.randn(num_rows, 3, shapes.num_heads, shapes.head_size, generator=generator)
    slots, positions = torch.arange(num_rows, device=device), torch.tensor(POSITIONS, device=device)
    results = []
    for cache in ways:
        cache.prefill(list(range(1, num_rows)), list(POSITIONS[1:]))(0, prefixes.to(device, dtype))
        over = cache.decode_first(slots, positions, cache.num_positions)
        results.append([over(0, new.to(device, dtype)), cache.layer(0)])
    differences = [(one.float() - other.float()).abs().max() for one, other in zip(*results, strict=True)]
    return float(torch.stack(differences).max())
