"""Counts what a piece of code asks of PyTorch: operators, memory, copies, and where a GPU's host would have to wait.

On a CPU nothing waits for a device, so the calls that would are counted. Work inside an operator is not seen.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Their results are on the host, or have a shape that only the device knows.
WAITING_OPERATORS = frozenset(
    f"aten::{name}"
    for name in (
        *("item", "_local_scalar_dense", "is_nonzero", "equal", "allclose"),
        *("nonzero", "nonzero_numpy", "argwhere", "masked_select", "bincount"),
        *("_unique", "_unique2", "unique_consecutive", "unique_dim"),
    )
)
INDEXING_OPERATORS = frozenset(("aten::index", "aten::index_put", "aten::index_put_"))  # by a mask they wait
WAITING_METHODS = frozenset(("tolist", "numpy", "__array__", "cpu"))  # read memory, and dispatch nothing that tells
COPYING_OPERATORS = frozenset(
    f"aten::{name}"
    for name in (
        *("clone", "contiguous", "copy_", "_to_copy", "to", "reshape", "pad", "constant_pad_nd"),
        *("cat", "stack", "index", "index_select", "gather", "repeat", "repeat_interleave"),
    )
)


@dataclass
class Counts:
    num_operators: int = 0
    num_allocations: int = 0  # tensors that came with memory of their own
    allocated_bytes: int = 0
    copied_bytes: int = 0
    num_moves: int = 0  # tensors sent to a device by name or without waiting: copies where there is a GPU
    num_waits: int = 0
    waits: Counter[str] = field(default_factory=Counter)

    def wait(self, name: str) -> None:
        self.num_waits += 1
        self.waits[name] += 1

    def over(self, bounds: Mapping[str, int]) -> list[str]:
        """What is more than its bound, by name."""
        found = asdict(self)
        return [f"{name}: {found[name]}, at most {most}" for name, most in bounds.items() if found[name] > most]


@contextmanager
def counting() -> Iterator[Counts]:
    """Of the calling thread, while the block runs."""
    counts = Counts()
    with _Operators(counts), _Methods(counts):
        yield counts


class _Operators(TorchDispatchMode):
    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name, counts = func._schema.name, self._counts
        counts.num_operators += 1
        if _is_waiting(name, args):
            counts.wait(name.removeprefix("aten::"))
        known = {_memory(tensor) for tensor in _tensors((args, kwargs))}
        results = func(*args, **kwargs)
        for result in _tensors(results):
            is_new = _memory(result) not in known
            num_bytes = result.numel() * result.element_size()
            counts.num_allocations += is_new
            counts.allocated_bytes += num_bytes * is_new
            if name in COPYING_OPERATORS and (is_new or name == "aten::copy_"):
                counts.copied_bytes += num_bytes
        return results


class _Methods(TorchFunctionMode):
    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in WAITING_METHODS:
            self._counts.wait(name)
        self._counts.num_moves += _is_move(name, args, kwargs)
        return func(*args, **kwargs)


def _is_move(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    if name == "to":
        return any(isinstance(each, torch.device | str) for each in (*args[1:], *kwargs.values()))
    return name == "copy_" and bool(kwargs.get("non_blocking"))


def _is_waiting(name: str, args: Sequence[Any]) -> bool:
    if name in INDEXING_OPERATORS:
        return _has_mask(args[1])
    return name in WAITING_OPERATORS or (name == "aten::where" and len(args) == 1)


def _has_mask(indices: Sequence[Tensor | None]) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _memory(tensor: Tensor) -> int:
    """One number for all views; packed weights, which have no storage, are told by themselves."""
    return tensor.untyped_storage()._cdata if tensor.layout is torch.strided else id(tensor)
