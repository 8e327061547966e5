"""Measures the profile of one replica on this machine: each part of the engine's step alone, then the service's start.

Means of several runs of each, taken on the parts that the engine is built of, with their real settings.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import numpy as np
import torch

from loadtest.compare.listening import Text, listen
from loadtest.planner.profile import DecodeStep, Measured, Profile, VocoderPass
from loadtest.server import serving
from serve_app.bench.machine import machine
from serve_app.bench.passes import NUM_TOKENS, due_windows, running_sequences
from serve_app.engine import vocoder_pass
from serve_app.engine.config import EngineConfig
from serve_app.engine.sequence import PREFIX_EXTRA_ROWS, STREAMING_CHUNKS
from serve_app.engine.step_codes import PendingCodes
from serve_app.model.checkpoint import Checkpoint, load_checkpoint
from serve_app.model.conditioning import VoiceEncoder
from serve_app.model.device import Compute, choose_compute
from serve_app.model.vocoder import Vocoder
from serve_app.settings import Settings
from serve_app.speech.engine_setup import build_runner, engine_config, use_device

Echo = Callable[[str], None]

LENGTHS = (128, 256, 512)  # rows of the cache
PREFILLS = (1, 4)  # sentences in a pass
WINDOWS = (32, 64, 96, 128, 192, 256)  # frames; the first that a listener hears are 31
REFERENCE_S, REFERENCE_RATE_HZ = 10.0, 22_050
LEAST_S, MOST_REPEATS, FEWEST_REPEATS = 0.5, 20, 3
NUM_PROBES = 9
PROBE = "The train to the coast leaves at nine."
DEADLINE_S = 300.0


def measure_profile(settings: Settings, name: str, echo: Echo) -> Profile:
    """Takes some minutes of a quiet machine. Raises `StartupError` where the service does not start."""
    compute = choose_compute(settings.device, settings.dtype, settings.quantization)
    use_device(settings, compute)
    checkpoint = load_checkpoint(
        settings.model, accept_cpml=settings.accept_cpml, cache_dir=settings.model_cache, progress=lambda _: None
    )
    config = engine_config(settings, compute)
    echo(f"{checkpoint.config.name}, {compute}, {config.max_slots} slots")
    decode_steps, (prefill_pass_s, prefill_row_s) = _gpt(checkpoint, compute, config, echo)
    passes = _vocoder(checkpoint, compute, config, echo)
    encoder, noise = VoiceEncoder(checkpoint, compute.device), _noise()
    voice_s = _mean_s(lambda: encoder.encode(noise), compute)
    echo(f"a new voice: {voice_s:.3f} s")
    step_s = next(each.seconds for each in decode_steps if (each.batch, each.cached) == (1, LENGTHS[0]))
    first_s = prefill_pass_s + prefill_row_s * (NUM_TOKENS + PREFIX_EXTRA_ROWS)
    first_s += STREAMING_CHUNKS[0] * step_s + passes[0].seconds
    load_s, request_s = _service(settings, first_s)
    echo(f"load {load_s:.1f} s; a request beside its speech {1e3 * request_s:.0f} ms")
    on = machine()
    return Profile(
        name=name,
        measured=Measured(
            machine=f"{on['gpu'] or on['cpu']}, {on['cores']} cores",
            version=version("xtts-serve"),
            date=date.today(),
            how=f"python -m loadtest profile --model {settings.model} ({compute})",
        ),
        decode_steps=tuple(decode_steps),
        is_rounded_up=compute.device.type == "cuda" and settings.cuda_graphs,
        prefill_pass_s=prefill_pass_s,
        prefill_row_s=prefill_row_s,
        vocoder_passes=tuple(passes),
        request_s=request_s,
        voice_s=voice_s,
        load_s=load_s,
        slots=config.max_slots,
        max_waiting=config.max_waiting,
        max_slots_per_request=settings.max_slots_per_request,
        first_audio_timeout_s=settings.first_audio_timeout_s,
        max_prefill_rows=config.max_prefill_rows,
        max_render_frames=config.max_render_frames,
        max_window_frames=config.max_window_frames,
        max_window_batch=config.max_window_batch,
    )


def _batches(num_slots: int) -> Iterator[int]:
    batch = 1
    while batch < num_slots:
        yield batch
        batch *= 2
    yield num_slots


def _gpt(
    checkpoint: Checkpoint, compute: Compute, config: EngineConfig, echo: Echo
) -> tuple[list[DecodeStep], tuple[float, float]]:
    """Decode steps, and the seconds of a prefill pass and of each of its rows."""
    shapes, runner = checkpoint.config.gpt, build_runner(checkpoint, compute, config)
    runner.warm_up()
    steps = []
    for batch in _batches(config.max_slots):
        for length in LENGTHS:
            seconds = _mean_s(partial(_waited, runner.decode, running_sequences(shapes, batch, length)), compute)
            steps.append(DecodeStep(batch=batch, cached=length, seconds=seconds))
        echo(f"step of {batch}: {', '.join(f'{1e3 * each.seconds:.2f}' for each in steps[-len(LENGTHS) :])} ms")
    prefix = NUM_TOKENS + PREFIX_EXTRA_ROWS
    few, many = (
        _mean_s(partial(_waited, runner.prefill, running_sequences(shapes, num, prefix)), compute)
        for num in (min(PREFILLS[0], config.max_slots), min(PREFILLS[1], config.max_slots))
    )
    num_more = (min(PREFILLS[1], config.max_slots) - 1) * prefix
    row_s = max(0.0, (many - few) / num_more) if num_more else few / prefix
    echo(f"prefill of one sentence {1e3 * few:.1f} ms, {1e6 * row_s:.0f} µs for each further row")
    return steps, (max(0.0, few - row_s * prefix), row_s)


def _waited(begin: Callable[[Any], PendingCodes], sequences: Any) -> None:
    begin(sequences).wait()


def _vocoder(checkpoint: Checkpoint, compute: Compute, config: EngineConfig, echo: Echo) -> list[VocoderPass]:
    """From latents to samples on the host, at the engine's own widths, those that are captured among them."""
    device = compute.device
    vocoder = Vocoder(checkpoint.config.vocoder, checkpoint.tensors, device=device, dtype=compute.dtype)
    vocoding = vocoder_pass.VocoderPass(vocoder, config, device)
    vocoding.warm_up()

    def measured(batch: int, num_frames: int) -> VocoderPass:
        windows = due_windows(vocoder, config, device, batch, num_frames)
        seconds = _mean_s(lambda: vocoding.begin(windows).samples(), compute)
        return VocoderPass(frames=batch * num_frames, seconds=seconds)

    widths = sorted({min(width, config.max_window_frames) for width in WINDOWS})
    passes = [measured(1, width) for width in widths]
    most = vocoding.most_windows(widths[-1]) or config.max_window_batch
    passes += [measured(batch, widths[-1]) for batch in _batches(most) if batch > 1]
    echo(f"vocoder: {', '.join(f'{each.frames} frames {1e3 * each.seconds:.1f} ms' for each in passes)}")
    return passes


def _service(settings: Settings, first_s: float) -> tuple[float, float]:
    """Seconds until a replica is ready, and what a request takes beside the `first_s` of its first audio's making."""
    import asyncio

    async def probes(address: Any) -> Sequence[float]:
        heard = [await listen(address, Text(PROBE, "en", seed), "default", DEADLINE_S) for seed in range(NUM_PROBES)]
        return [each.first_audio_s for each in heard if not each.why]

    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, serving(settings, Path(folder), is_ray=False) as service:
        load_s = time.monotonic() - started_s
        firsts_s = asyncio.run(probes(service.address))
    return load_s, max(0.0, median(firsts_s) - first_s) if firsts_s else 0.0


def _noise() -> Any:
    """As long as a good reference."""
    rng = np.random.default_rng(Random(1).getrandbits(32))
    return (0.1 * rng.standard_normal(int(REFERENCE_S * REFERENCE_RATE_HZ))).astype(np.float32)


def _mean_s(work: Callable[[], object], compute: Compute) -> float:
    """After a run that does not count."""

    def wait() -> None:
        if compute.device.type == "cuda":
            torch.cuda.synchronize()

    work()
    wait()
    start_s, num = time.perf_counter(), 0
    while num < FEWEST_REPEATS or (num < MOST_REPEATS and time.perf_counter() - start_s < LEAST_S):
        work()
        num += 1
    wait()
    return (time.perf_counter() - start_s) / num
