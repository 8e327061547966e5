"""The counter counts: each way to wait, to allocate and to copy, and nothing for what is free."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.guard.counting import counting

Ask = Callable[[Tensor], object]


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x.sum().item(),
        lambda x: float(x[0, 0]),
        lambda x: int(x[0, 0]),
        lambda x: bool((x > 0).all()),
        lambda x: [0, 1][x[0, 0].long()],
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
        lambda x: x.cpu(),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.clone().masked_fill_(x > 0, 0.0)[x > 0],
        lambda x: torch.where(x > 0),
        lambda x: torch.unique(x),
        lambda x: torch.equal(x, x),
    ],
    ids=range(15),
)
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_each_way_to_wait_counts_once(ask: Ask, context: Callable[[], torch.no_grad]) -> None:
    x = torch.ones(2, 3)
    with context(), counting() as counts:
        ask(x)
    assert counts.num_waits == sum(counts.waits.values()) == 1


@pytest.mark.parametrize(
    ("ask", "num_allocations", "num_bytes"),
    [
        (lambda x: x[:1], 0, 0),
        (lambda x: x.view(3, 2).transpose(0, 1), 0, 0),
        (lambda x: x.add_(1), 0, 0),
        (lambda x: x.to(torch.float32), 0, 0),
        (lambda x: x + 1, 1, 24),
        (lambda x: torch.topk(x, 2), 2, 2 * 2 * (4 + 8)),
        (lambda x: x.clone(), 1, 24),
        (lambda x: x.T.reshape(-1), 1, 24),
    ],
    ids=range(8),
)
@torch.inference_mode()
def test_new_memory_counts_and_views_do_not(ask: Ask, num_allocations: int, num_bytes: int) -> None:
    x = torch.ones(2, 3)
    with counting() as counts:
        ask(x)
    assert (counts.num_allocations, counts.allocated_bytes) == (num_allocations, num_bytes)
    assert counts.num_waits == 0


@torch.inference_mode()
def test_copies_and_moves_are_counted() -> None:
    x, y = torch.ones(2, 3), torch.zeros(2, 3)
    with counting() as counts:
        x.clone()
        y.copy_(x)
        x.to(torch.float32)
    assert (counts.copied_bytes, counts.num_moves) == (48, 0)
    with counting() as counts:
        x.to(torch.device("cpu"))
        y.copy_(x, non_blocking=True)
    assert (counts.copied_bytes, counts.num_moves) == (24, 2)


def test_only_what_is_over_its_bound_is_named() -> None:
    with counting() as counts:
        torch.ones(2).sum().item()
    assert counts.over({"num_waits": 1, "copied_bytes": 0}) == []
    assert counts.over({"num_waits": 0, "copied_bytes": 0}) == ["num_waits: 1, at most 0"]
