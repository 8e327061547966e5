"""What a GPU does in speech, each part alone, beside what its memory and its matrix units would allow."""

import gc
import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from serve_app.bench.gpu_profile import profile_table, synchronize
from serve_app.bench.passes import NUM_TOKENS, due_windows, running_sequences
from serve_app.bench.roofline import Ceilings, Floors
from serve_app.engine.config import EngineConfig
from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.sequence import PREFIX_EXTRA_ROWS, Sequence
from serve_app.engine.vocoder_pass import VocoderPass
from serve_app.errors import StartupError
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.conditioning import REFERENCE_RATE_HZ, VoiceEncoder
from serve_app.model.config import CODE_RATE_HZ, GptConfig
from serve_app.model.device import Compute
from serve_app.model.vocoder import Vocoder
from serve_app.speech.engine_setup import build_runner

Ways = tuple[tuple[str, EngineConfig], ...]
Times = dict[str, dict[tuple[int, int], float]]  # by way, sequences and rows


@dataclass(frozen=True)
class Sizes:
    """What is measured."""

    steps: tuple[tuple[int, int], ...] = tuple(itertools.product((1, 4, 16, 32, 64), (128, 256, 512)))
    prefixes: tuple[tuple[int, int], ...] = tuple((num, NUM_TOKENS + PREFIX_EXTRA_ROWS) for num in (1, 4, 16))
    windows: tuple[tuple[int, int], ...] = ((1, 32), (1, 64), (1, 256), (4, 256), (16, 256))  # batch and frames
    references_s: tuple[int, ...] = (6, 30)
    profiled: tuple[tuple[int, int], ...] = ()  # steps, kernel by kernel
    repeats: int = 20
    copied_bytes: int = 1 << 30
    matrix_size: int = 8_192


def ways_of(config: EngineConfig) -> Ways:
    """With each of what a GPU can do beyond calling PyTorch."""
    plain = replace(config, uses_cuda_graphs=False, uses_fused_kernels=False)
    graphs = replace(plain, uses_cuda_graphs=True)
    return ("eager", plain), ("graphs", graphs), ("graphs, kernels", replace(graphs, uses_fused_kernels=True))


def gpu_table(checkpoint: Checkpoint, compute: Compute, ways: Ways, sizes: Sizes) -> Iterator[str]:
    """Lines of Markdown: ceilings, steps, prefixes, windows, voices; medians."""
    device = compute.device
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    yield f"{name}, torch {torch.__version__}, {compute}, {checkpoint.config.name}, {time.strftime('%Y-%m-%d')}."
    ceilings = Ceilings.measured(
        compute, partial(median_s, device, sizes.repeats), sizes.copied_bytes, sizes.matrix_size
    )
    yield (
        f"Copies: {ceilings.bytes_per_s / 1e9:.0f} GB/s read and written. "
        f"Matrix products: {ceilings.operations_per_s / 1e12:.1f} TFLOP/s."
    )
    floors = Floors(checkpoint.config, compute, ceilings)
    steps: Times = {}
    prefixes: Times = {}
    profiles: list[str] = []
    for label, config in ways:
        try:
            runner = build_runner(checkpoint, compute, config)
        except StartupError as error:
            yield f"{label}: {error.message}."
            continue
        taken_s, taken_bytes = _warm_up(runner, device)
        yield f"{label}: warmed up in {taken_s:.1f} s, {taken_bytes / 1e6:.0f} MB."
        measured = partial(_measured, runner, checkpoint.config.gpt, device, sizes.repeats)
        steps[label] = measured(runner.decode, sizes.steps)
        prefixes[label] = measured(runner.prefill, sizes.prefixes)
        for rows, cached in sizes.profiled:
            if rows <= runner.config.max_slots:
                profiles += [f"\nKernels, {label}:"]
                profiles += profile_table(runner, running_sequences(checkpoint.config.gpt, rows, cached), device)
        del runner, measured
        gc.collect()  # captured calls hold their runner in a circle
    yield from _steps(steps, floors, sizes)
    yield from _prefixes(prefixes, floors, sizes)
    yield from _windows(checkpoint, compute, ways[:2], floors, sizes)
    yield from _voices(checkpoint, device, sizes)
    yield from profiles


def _measured(
    runner: ModelRunner,
    shapes: GptConfig,
    device: torch.device,
    repeats: int,
    begin: Callable[[tuple[Sequence, ...]], object],
    found: tuple[tuple[int, int], ...],
) -> dict[tuple[int, int], float]:
    """Seconds of passes over so many sequences of so many rows; none of more sequences than there are slots."""
    return {
        (num, rows): in_a_row_s(device, repeats, partial(begin, running_sequences(shapes, num, rows)))
        for num, rows in found
        if num <= runner.config.max_slots
    }


def median_s(device: torch.device, repeats: int, work: Callable[[], object]) -> float:
    """Of calls that each end before the next begins."""
    found = []
    for number in range(3 + repeats):
        synchronize(device)
        start_s = time.perf_counter()
        work()
        synchronize(device)
        if number >= 3:
            found.append(time.perf_counter() - start_s)
    return float(np.median(found))


def _warm_up(runner: ModelRunner, device: torch.device) -> tuple[float, int]:
    """Seconds and bytes."""
    free_bytes = torch.cuda.mem_get_info()[0] if device.type == "cuda" else 0
    start_s = time.perf_counter()
    runner.warm_up()
    synchronize(device)
    left_bytes = torch.cuda.mem_get_info()[0] if device.type == "cuda" else 0
    return time.perf_counter() - start_s, free_bytes - left_bytes


def in_a_row_s(device: torch.device, repeats: int, work: Callable[[], object]) -> float:
    """The mean of calls that are begun one behind another, as the engine begins steps."""
    for _ in range(3):
        work()
    synchronize(device)
    start_s = time.perf_counter()
    for _ in range(repeats):
        work()
    synchronize(device)
    return (time.perf_counter() - start_s) / repeats


def _steps(times: Times, floors: Floors, sizes: Sizes) -> Iterator[str]:
    yield f"\n| rows × cached | {', µs | '.join(times)}, µs | floor | ratio | codes/s | audio s/s |"
    yield "| --- " * (len(times) + 5) + "|"
    for rows, cached in sizes.steps:
        seconds = [each.get((rows, cached), math.nan) for each in times.values()]
        floor_s, best_s = floors.step_s(rows, cached), np.nanmin(seconds)
        cells = [f"{1e6 * each:.0f}" for each in (*seconds, floor_s)]
        rate = rows / best_s
        yield (
            f"| {rows} × {cached} | {' | '.join(cells)} | {best_s / floor_s:.1f} "
            f"| {rate:.0f} | {rate / CODE_RATE_HZ:.0f} |"
        )


def _prefixes(times: Times, floors: Floors, sizes: Sizes) -> Iterator[str]:
    yield f"\n| prefixes × rows | {', ms | '.join(times)}, ms | floor |"
    yield "| --- " * (len(times) + 2) + "|"
    for num, rows in sizes.prefixes:
        seconds = [each.get((num, rows), math.nan) for each in times.values()]
        cells = [f"{1e3 * each:.2f}" for each in (*seconds, floors.prefix_s(num * rows))]
        yield f"| {num} × {rows} | {' | '.join(cells)} |"


def _windows(checkpoint: Checkpoint, compute: Compute, ways: Ways, floors: Floors, sizes: Sizes) -> Iterator[str]:
    """From latents to samples on the host."""
    shapes, device = checkpoint.config.vocoder, compute.device
    vocoder = Vocoder(shapes, checkpoint.tensors, device=device, dtype=compute.dtype)
    passes = []
    for label, config in ways:
        each = VocoderPass(vocoder, config, device)
        start_s = time.perf_counter()
        each.warm_up()
        synchronize(device)
        yield f"\nvocoder, {label}: warmed up in {time.perf_counter() - start_s:.1f} s."
        passes.append(each)
    labels = [label for label, _ in ways]
    yield f"\n| windows × frames | {', ms | '.join(labels)}, ms | floor | ratio | audio s/s |"
    yield "| --- " * (len(labels) + 4) + "|"
    for batch, num_frames in sizes.windows:
        windows = due_windows(vocoder, ways[0][1], device, batch, num_frames)
        seconds = [median_s(device, sizes.repeats, lambda: each.begin(windows).samples()) for each in passes]  # noqa: B023
        floor_s, best_s = floors.window_s(batch * num_frames), min(seconds)
        cells = [f"{1e3 * each:.2f}" for each in (*seconds, floor_s)]
        audio_s = batch * num_frames * shapes.hop_length / shapes.output_sample_rate_hz
        yield (f"| {batch} × {num_frames} | {' | '.join(cells)} | {best_s / floor_s:.1f} | {audio_s / best_s:.0f} |")


def _voices(checkpoint: Checkpoint, device: torch.device, sizes: Sizes) -> Iterator[str]:
    yield "\n| reference, s | voice encoded in, ms |\n| --- | --- |"
    encoder, rng = VoiceEncoder(checkpoint, device), np.random.default_rng(1)
    for reference_s in sizes.references_s:
        samples = (0.1 * rng.standard_normal(reference_s * REFERENCE_RATE_HZ)).astype(np.float32)
        seconds = median_s(device, min(5, sizes.repeats), partial(encoder.encode, samples))
        yield f"| {reference_s} | {1e3 * seconds:.1f} |"
