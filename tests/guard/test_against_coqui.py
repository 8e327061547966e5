"""The engine stays ahead of coqui-tts on the same weights and machine: a ratio of neighbours in time, not a speed.

Twelve layers of the small synthetic model, float32 and one thread on both sides, so that a pair takes seconds and no
side waits for a second core that others use. Sides speak in turn, and the best of each counts: others can only slow it.
"""

from collections.abc import Iterator

import pytest

from serve_app.bench.worker import COQUI, Worker
from serve_app.bench.workload import utterances
from serve_app.settings import make_settings

MODEL, OURS, NUM_CODES = "synthetic:tiny:12", "float32", 40
MIN_PAIRS, MAX_PAIRS = 2, 6
# By streams at once. Measured: 1.2 and 3.1; one after another, eight have the ratio of one.
LEAST_RATIO = {1: 0.7, 8: 1.8}


@pytest.fixture(scope="module")
def workers() -> Iterator[dict[str, Worker]]:
    settings = make_settings(model=MODEL, dtype=OURS, device="cpu", num_threads=1)
    sides = {name: Worker(name, settings, max(LEAST_RATIO)) for name in (COQUI, OURS)}
    for side in sides.values():
        side.run(utterances(2, NUM_CODES))
    yield sides
    for side in sides.values():
        side.close()


@pytest.mark.slow
@pytest.mark.parametrize("num_at_once", list(LEAST_RATIO))
def test_engine_keeps_its_lead(workers: dict[str, Worker], num_at_once: int) -> None:
    jobs = utterances(num_at_once, NUM_CODES)
    ours: list[float] = []
    coqui: list[float] = []
    while len(ours) < MAX_PAIRS:
        ours.append(workers[OURS].run(jobs)[0].audio_s_per_s)
        coqui.append(workers[COQUI].run(jobs, 2)[0].audio_s_per_s)
        if len(ours) >= MIN_PAIRS and max(ours) / max(coqui) >= LEAST_RATIO[num_at_once]:
            return
    pytest.fail(f"{max(ours) / max(coqui):.2f} of coqui-tts at {num_at_once} at once: {ours}, {coqui} audio s/s")
