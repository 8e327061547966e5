"""A real GPU in trouble: memory that another program takes, a device that latches an error, and what metrics say."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from prometheus_client import CollectorRegistry

from serve_app.engine.config import EngineConfig
from serve_app.engine.engine import Engine
from serve_app.engine.gpu_reporter import GpuReporter
from serve_app.engine.sequence import WHOLE, Prompt, SamplingParams
from serve_app.errors import EngineFailed, OutOfMemory
from serve_app.metrics import Metrics, PrometheusExporter
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.conditioning import VoiceEncoder
from serve_app.model.device import Compute
from serve_app.speech.loading import encode_voice
from tests.engine.reference import load
from tests.engine.support import Spoken, make_tokens, make_voice, run, running, speak

Record = Callable[[str, object], None]
BFLOAT16 = Compute(torch.device("cuda"), torch.bfloat16)
CONFIG = EngineConfig(max_slots=32, max_render_frames=8_192, max_window_batch=32, max_prefill_rows=2_048)
# Takes all of the GPU's memory but a little, says so, and holds it until its input ends.
NEIGHBOUR = """
import sys, torch
torch.zeros(1, device="cuda")
taken, size = [], 1 << 30
while size >= 1 << 21:
    try:
        if torch.cuda.mem_get_info()[0] - size < LEFT:
            raise torch.OutOfMemoryError
        taken.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
    except torch.OutOfMemoryError:
        size //= 2
print(torch.cuda.mem_get_info()[0], flush=True)
sys.stdin.read()
"""
LATCHED = "from tests.gpu.test_trouble import speak_on_a_breaking_gpu; speak_on_a_breaking_gpu()"
ALL_WAS_TOLD = "all was told"


@pytest.fixture(scope="module")
def full(gpu: torch.device) -> Checkpoint:
    return load("synthetic:full", "cuda")[0]


def prompts(checkpoint: Checkpoint, num: int) -> list[Prompt]:
    return [
        Prompt(
            make_tokens(20, seed),
            make_voice(checkpoint, seed),
            SamplingParams(seed=seed, num_forced_codes=100),
            chunk_codes=WHOLE,  # so that all windows are made at once
        )
        for seed in range(num)
    ]


@contextmanager
def neighbour(left_bytes: int) -> Generator[int]:
    """Another program on the GPU that leaves so much; gives what is free."""
    script = NEIGHBOUR.replace("LEFT", str(left_bytes))
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        yield int(process.stdout.readline())
        process.stdin.close()
        process.wait(30)


def together(engine: Engine, asked: list[Prompt]) -> list[Any]:
    async def everyone() -> list[Any]:
        return list(await asyncio.gather(*(speak(engine, prompt) for prompt in asked), return_exceptions=True))

    return run(everyone())


def test_a_neighbour_that_takes_the_memory_costs_no_wrong_audio(full: Checkpoint, record_property: Record) -> None:
    registry = CollectorRegistry()
    recorder = Metrics(PrometheusExporter(registry))
    asked = prompts(full, 32)
    with running(full, CONFIG, BFLOAT16, recorder=recorder) as engine:
        assert all(isinstance(spoken, Spoken) for spoken in together(engine, asked[:1]))
        torch.cuda.empty_cache()
        with neighbour(left_bytes=64 << 20) as free:
            record_property("left_mib", free >> 20)
            started_s = time.monotonic()
            squeezed = together(engine, asked)
            record_property("squeezed_s", time.monotonic() - started_s)
            engine.check_health()
        record_property("num_spoken_while_squeezed", _check(squeezed, asked))
        num_recoveries = sum(
            sample.value
            for metric in registry.collect()
            for sample in metric.samples
            if sample.name == "xtts_out_of_memory_total"
        )
        record_property("num_recoveries", num_recoveries)
        assert num_recoveries > 0  # else the neighbour left too much for this to say anything
        started_s = time.monotonic()
        assert _check(together(engine, asked), asked) == len(asked)  # once the memory is back, so is all speech
        record_property("afterwards_s", time.monotonic() - started_s)


def _check(outcomes: list[Any], asked: list[Prompt]) -> int:
    num_spoken = 0
    for outcome, prompt in zip(outcomes, asked, strict=True):
        if isinstance(outcome, OutOfMemory):
            continue
        assert isinstance(outcome, Spoken), outcome
        assert len(outcome.codes) == prompt.sampling.num_forced_codes
        assert np.isfinite(outcome.samples).all()
        assert len(outcome.samples) >= len(outcome.codes) * 1_000
        num_spoken += 1
    return num_spoken


def test_metrics_say_what_the_driver_says(gpu: torch.device) -> None:
    registry = CollectorRegistry()
    ballast = torch.ones(256 << 20, dtype=torch.uint8, device=gpu)
    reporter = GpuReporter(Metrics(PrometheusExporter(registry)), gpu)
    reporter.start()
    try:
        time.sleep(1.0)
    finally:
        reporter.stop()
    query = ["nvidia-smi", "--query-gpu=memory.total,memory.used", "--format=csv,noheader,nounits"]
    total_mib, used_mib = map(float, subprocess.check_output(query, text=True).splitlines()[0].split(","))
    total, used, reserved, use = (
        registry.get_sample_value(name)
        for name in (
            "xtts_gpu_memory_bytes",
            "xtts_gpu_memory_used_bytes",
            "xtts_gpu_memory_reserved_bytes",
            "xtts_gpu_use",
        )
    )
    assert total == pytest.approx(total_mib * 2**20, rel=0.01)
    assert used == pytest.approx(used_mib * 2**20, rel=0.25)  # nvidia-smi leaves out what the driver keeps for itself
    assert reserved is not None and reserved >= ballast.nbytes
    assert use is not None and 0.0 <= use <= 1.0


def test_a_latched_error_fails_the_engine_and_everyone_hears_of_it() -> None:
    """In a process of its own, which no longer computes afterwards."""
    done = subprocess.run([sys.executable, "-c", LATCHED], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ALL_WAS_TOLD in done.stdout


def speak_on_a_breaking_gpu() -> None:
    """Says so where everyone was told."""
    checkpoint = load("synthetic:tiny")[0]
    compute = Compute(torch.device("cuda"), torch.float32)
    encoder = VoiceEncoder(checkpoint, compute.device)
    with running(checkpoint, CONFIG, compute) as engine:
        long = [
            Prompt(make_tokens(20, seed), make_voice(checkpoint, seed), SamplingParams(seed=seed, num_forced_codes=600))
            for seed in range(4)
        ]

        async def break_it() -> None:
            await asyncio.sleep(0.3)
            nowhere = torch.tensor([1 << 20], device=compute.device)
            torch.zeros(4, device=compute.device)[nowhere]  # asserts on the device

        async def everyone() -> list[Any]:
            speaking = (speak(engine, prompt) for prompt in long)
            return list(await asyncio.gather(*speaking, break_it(), return_exceptions=True))

        for outcome in run(everyone())[: len(long)]:
            assert isinstance(outcome, EngineFailed), outcome
        for broken in (
            engine.check_health,
            lambda: run(speak(engine, long[0])),
            lambda: encode_voice(encoder, engine, np.zeros(44_100, np.float32), Metrics()),
        ):
            with pytest.raises(EngineFailed, match="restart the replica"):
                broken()
    sys.stdout.write(ALL_WAS_TOLD)
    sys.stdout.flush()
    os._exit(0)  # as a replica ends: memory that a broken GPU cannot free would abort the process
