"""The engine stays ahead of coqui-tts on the same weights: a ratio of neighbours in time, not a speed.

Two of the true model's thirty layers, in float32 on both sides. The bounds are about half of what was measured, and the
best of several pairs counts: a busy machine slows both sides, and seldom only ours each time.
"""

from collections.abc import Iterator

import pytest

from serve_app.bench.worker import COQUI, Worker
from serve_app.bench.workload import utterances
from serve_app.settings import make_settings

MODEL, NUM_CODES, MAX_PAIRS = "synthetic:full:2", 32, 4
LEAST_RATIO = {1: 1.5, 8: 2.0}  # by streams at once
OURS = "float32"


@pytest.fixture(scope="module")
def workers() -> Iterator[dict[str, Worker]]:
    settings = make_settings(model=MODEL, dtype=OURS, device="cpu")
    sides = {name: Worker(name, settings, max(LEAST_RATIO)) for name in (COQUI, OURS)}
    for side in sides.values():
        side.run(utterances(2, NUM_CODES))
    yield sides
    for side in sides.values():
        side.close()


@pytest.mark.slow
@pytest.mark.parametrize("num_at_once", list(LEAST_RATIO))
def test_engine_is_well_ahead_of_coqui(workers: dict[str, Worker], num_at_once: int) -> None:
    jobs = utterances(num_at_once, NUM_CODES)
    ratios: list[float] = []
    while len(ratios) < MAX_PAIRS and max(ratios, default=0.0) < LEAST_RATIO[num_at_once]:
        ours, coqui = workers[OURS].run(jobs)[0], workers[COQUI].run(jobs, 2)[0]
        ratios.append(ours.audio_s_per_s / coqui.audio_s_per_s)
    assert max(ratios) >= LEAST_RATIO[num_at_once], ratios
