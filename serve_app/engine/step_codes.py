"""What a pass chose, once it is known on the host."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class StepCodes:
    """An entry a row."""

    codes: list[int]
    is_finite: list[bool]
    num_near_ties: int


class PendingCodes:
    """On its way from the device; other passes may be begun meanwhile."""

    def __init__(
        self, found: Tensor, columns: list[int] | None = None, event: Any = None, ill: set[int] | None = None
    ) -> None:
        """`found` [3, n] int64, what `choose` gives, on the host once the event, if there is one, has come; `columns`:
        those of the pass's rows, None for all. `ill` gets the columns whose scores are no numbers.
        """
        self._found, self._columns, self._event, self._ill = found, columns, event, ill

    def wait(self) -> StepCodes:
        """The one wait for the device in a step."""
        if self._event is not None:
            self._event.synchronize()
        found = self._found.numpy()
        codes, finite, ties = (found if self._columns is None else found[:, self._columns]).tolist()
        if self._ill is not None and self._columns is not None and not all(finite):
            self._ill.update(column for column, flag in zip(self._columns, finite, strict=True) if not flag)
        return StepCodes(codes, [bool(flag) for flag in finite], sum(ties))
