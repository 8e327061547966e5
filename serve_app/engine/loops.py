"""Whether a sequence goes round in circles: the same codes over and over, which speech never is for long."""

from collections.abc import Sequence as Codes

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

LOOP_CODES = 32  # 1.5 s in which every code is the one a period before it
MAX_PERIOD = 32
NUM_CODES_SEEN = LOOP_CODES + MAX_PERIOD


def is_looping(codes: Codes[int]) -> bool:
    """`codes`: the last `NUM_CODES_SEEN` of a sequence, or all it has. Periods up to 1.5 s are found."""
    if len(codes) <= LOOP_CODES:
        return False
    seen = np.asarray(codes[-NUM_CODES_SEEN:])
    earlier = sliding_window_view(seen[:-1], LOOP_CODES)  # [periods, LOOP_CODES]: the last one is period 1
    return bool((earlier == seen[-LOOP_CODES:]).all(axis=1).any())
