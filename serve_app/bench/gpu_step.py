"""A decode step and the vocoder on a GPU, each alone, beside what its memory's speed would allow."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import torch

from serve_app.engine.config import EngineConfig
from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.sequence import PREFIX_EXTRA_ROWS, Prompt, SamplingParams, Sequence, Status
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.config import CODE_RATE_HZ, NUM_CONDITIONING_LATENTS, GptConfig
from serve_app.model.device import Compute
from serve_app.model.gpt import Gpt
from serve_app.model.linear import linear_maker
from serve_app.model.vocoder import Vocoder
from serve_app.voices.voice import VoiceLatents

SLOTS = 64
ROWS = (1, 4, 16, 32, 64)
LENGTHS = (128, 256, 512)
NUM_TOKENS = 30
REPEATS = 20
COPIED_BYTES = 1 << 30
WINDOWS = ((1, 64), (1, 256), (4, 256), (16, 256), (32, 256))  # batch and frames


def gpu_step_table(checkpoint: Checkpoint, compute: Compute) -> Iterator[str]:
    """Lines of Markdown: memory speed, steps with and without graphs, vocoder; means of twenty runs."""
    assert compute.device.type == "cuda"
    bytes_per_s = _copy_bytes_per_s(compute.device)
    yield f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {compute}, {checkpoint.config.name}."
    yield f"Memory copies: {bytes_per_s / 1e9:.0f} GB/s read and written."
    yield from _steps(checkpoint, compute, bytes_per_s)
    yield from _vocoder(checkpoint, compute)


def _mean_s(work: Callable[[], object]) -> float:
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    start_s = time.perf_counter()
    for _ in range(REPEATS):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start_s) / REPEATS


def _copy_bytes_per_s(device: torch.device) -> float:
    source = torch.ones(COPIED_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * COPIED_BYTES / _mean_s(lambda: target.copy_(source))


def _steps(checkpoint: Checkpoint, compute: Compute, bytes_per_s: float) -> Iterator[str]:
    shapes, device = checkpoint.config.gpt, compute.device
    make_linear = linear_maker(device, compute.dtype, is_int8=False)
    gpt = Gpt(shapes, checkpoint.tensors, device=device, make_linear=make_linear)

    def runner(*, uses_cuda_graphs: bool) -> ModelRunner:
        config = EngineConfig(SLOTS, uses_cuda_graphs=uses_cuda_graphs)
        return ModelRunner(gpt, config, device=device, cache_dtype=compute.cache_dtype)

    plain, captured = runner(uses_cuda_graphs=False), runner(uses_cuda_graphs=True)
    free_bytes, _ = torch.cuda.mem_get_info()
    start_s = time.perf_counter()
    captured.warm_up()
    taken_s, taken_bytes = time.perf_counter() - start_s, free_bytes - torch.cuda.mem_get_info()[0]
    yield f"Capture of all graphs for {SLOTS} slots: {taken_s:.1f} s, {taken_bytes / 1e6:.0f} MB."
    yield "\n| rows × cached | step µs, eager | graphs | floor by memory | audio s/s with graphs |"
    yield "| --- | --- | --- | --- | --- |"
    for rows in ROWS:
        for length in LENGTHS:
            sequences = running_sequences(shapes, rows, length)
            seconds = [_mean_s(partial(each.decode, sequences)) for each in (plain, captured)]
            floor_s = _step_bytes(shapes, compute, rows, length) / bytes_per_s
            cells = [f"{1e6 * each:.0f}" for each in (*seconds, floor_s)]
            yield f"| {rows} × {length} | {' | '.join(cells)} | {rows / seconds[1] / CODE_RATE_HZ:.0f} |"


def running_sequences(shapes: GptConfig, rows: int, length: int) -> tuple[Sequence, ...]:
    """In the first slots, as if their last code but one filled the cache up to `length`."""
    voice = VoiceLatents(torch.zeros(NUM_CONDITIONING_LATENTS, shapes.width), torch.zeros(1))
    prompts = [Prompt(tuple(range(2, 2 + NUM_TOKENS)), voice, SamplingParams(seed=seed)) for seed in range(rows)]
    num_codes = length - NUM_TOKENS - PREFIX_EXTRA_ROWS
    return tuple(
        Sequence(slot, prompt, status=Status.RUNNING, slot=slot, num_codes=num_codes)
        for slot, prompt in enumerate(prompts)
    )


def _step_bytes(shapes: GptConfig, compute: Compute, rows: int, length: int) -> int:
    """Read in a step: the blocks' matrices, the head in float32, and the rows' keys and values."""
    blocks = shapes.num_layers * 12 * shapes.width**2 * compute.dtype.itemsize
    head = shapes.num_audio_tokens * shapes.width * torch.float32.itemsize
    cache = rows * length * 2 * shapes.num_layers * shapes.width * compute.cache_dtype.itemsize
    return blocks + head + cache


@torch.inference_mode()
def _vocoder(checkpoint: Checkpoint, compute: Compute) -> Iterator[str]:
    config = checkpoint.config.vocoder
    vocoder = Vocoder(config, checkpoint.tensors, device=compute.device, dtype=compute.dtype)
    yield "\n| vocoder, windows × frames | ms | audio s/s |\n| --- | --- | --- |"
    for batch, num_frames in WINDOWS:
        frames = torch.randn(batch, config.input_width, num_frames, device=compute.device)
        speaker = torch.randn(batch, config.speaker_width, device=compute.device)
        seconds = _mean_s(partial(vocoder, frames, speaker))
        audio_s = batch * num_frames * config.hop_length / config.output_sample_rate_hz
        yield f"| {batch} × {num_frames} | {1e3 * seconds:.1f} | {audio_s / seconds:.0f} |"
