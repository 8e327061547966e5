"""Memory that was freed is the system's again, though what was allocated beside it stays."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from pathlib import Path
from random import Random
import numpy as np
from serve_app import heap

def heap_mib():
    lines = Path("/proc/self/smaps_rollup").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous")) / 1024

if sys.argv[1] == "mapped":
    heap.map_large_blocks()
rng, kept = Random(1), []
del [np.ones(8 << 20, np.uint8)][:]
before = heap_mib()
for _ in range(20):  # a cache whose old entries go as new ones of other sizes come
    kept += [(np.ones(rng.randrange(1 << 18, 3 << 20), np.uint8), np.ones(3000, np.uint8)) for _ in range(10)]
    kept = rng.sample(kept, min(len(kept), 30))
small = [each for _, each in kept]
del kept
if sys.argv[1] == "given back":
    heap.give_back_freed_memory()
print(heap_mib() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap")
def test_large_blocks_leave_no_holes() -> None:
    grown_mib = {
        how: float(subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, check=True).stdout)
        for how in ("as it comes", "mapped", "given back")
    }
    assert grown_mib["mapped"] < 3.0
    assert grown_mib["given back"] < 3.0
    assert grown_mib["as it comes"] > 10.0  # else this shows nothing
