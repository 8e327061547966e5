"""The shapes that passes of fixed shape have: few, so that each can be captured, and the next larger one is near."""

from bisect import bisect_left
from dataclasses import dataclass

from serve_app.engine.config import EngineConfig

# A third to a half longer each, from the prefix of a short sentence on: half of what is read at most is padding.
POSITIONS = (128, 192, 256, 384, 512, 768)
PREFIXES = (64, 96, 128, 192, 256)
MAX_PREFIXES = 16  # in one pass
CANDIDATES = 64  # of usual `top_k`; a row that asks for more has the whole vocabulary


@dataclass(frozen=True)
class Buckets:
    """The sizes a pass may have; the last of each holds everything."""

    rows: tuple[int, ...]
    positions: tuple[int, ...]
    candidates: tuple[int, ...]
    prefixes: tuple[int, ...]  # rows of one, padding included

    @staticmethod
    def of(config: EngineConfig, num_positions: int, vocabulary: int, num_prefix_rows: int) -> "Buckets":
        """Only the last rows and positions in deterministic mode, where a size must not depend on who runs."""
        slots = config.max_slots
        prefixes = (*(size for size in PREFIXES if size < num_prefix_rows), num_prefix_rows)
        if config.is_deterministic:
            return Buckets((slots,), (num_positions,), (vocabulary,), prefixes)
        positions = [size for size in POSITIONS if size < num_positions]
        candidates = [size for size in (CANDIDATES,) if size < vocabulary]
        return Buckets(powers(slots), (*positions, num_positions), (*candidates, vocabulary), prefixes)


def powers(most: int) -> tuple[int, ...]:
    """1, 2, 4, …, and `most`."""
    return (*(1 << power for power in range(most.bit_length()) if 1 << power < most), most)


def fitting(sizes: tuple[int, ...], needed: int) -> int:
    """The least of the ascending sizes that is enough."""
    return sizes[bisect_left(sizes, needed)]


def num_prefixes(config: EngineConfig, length: int) -> tuple[int, ...]:
    """Prefixes of `length` rows, padding included, in one pass: ascending; one alone in deterministic mode."""
    most = 1 if config.is_deterministic else min(MAX_PREFIXES, config.max_slots, config.max_prefill_rows // length)
    return powers(max(1, most))
