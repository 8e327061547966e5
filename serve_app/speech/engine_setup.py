"""The engine of a device: its bounds, its parts, its first words. Knows settings and weights, no voices of users."""

import asyncio
import logging
import os
import shutil
from dataclasses import replace
from functools import partial

import torch

from serve_app.compute_threads import apart
from serve_app.engine.config import EngineConfig
from serve_app.engine.engine import Engine
from serve_app.engine.model_runner import ModelRunner, slot_bytes
from serve_app.engine.renderer import Renderer
from serve_app.engine.sequence import STREAMING_CHUNKS, Prompt, SamplingParams
from serve_app.errors import SettingsError, StartupError
from serve_app.kernels import load_kernels
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.config import GptConfig
from serve_app.model.device import Compute, num_cpus
from serve_app.model.gpt import Gpt
from serve_app.model.linear import linear_maker
from serve_app.model.vocoder import Vocoder
from serve_app.settings import Settings
from serve_app.voices.voice import VoiceLatents

logger = logging.getLogger(__name__)

ONEDNN_KERNELS = 8_192  # compiled ones kept; the default of 1,024 is less than all window widths and batch sizes need
WARM_UP_CODES = 48  # past the first three chunks
# Frames of a window on a GPU: each is captured for several batches, and a stream's first ones find one that is near.
GPU_WINDOW_WIDTHS = (16, 32, 48, 64, 80, 96, 128, 192, 256)
# Left free beside slots: for prefixes and voices while they are computed, for CUDA's libraries, for other programs.
GPU_RESERVE_BYTES = 1 << 30
SMALL_GPU_BYTES = 8 << 30  # free at the start: with less, the vocoder takes less at a time


def use_cpu(num_threads: int) -> None:
    """Prepares this process to compute on `num_threads` cores, 0 for all it may use."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(ONEDNN_KERNELS))
    torch.set_num_threads(num_threads or num_cpus())


def use_gpu(*, is_deterministic: bool) -> None:
    """Prepares this process to compute float32 in float32, not in TensorFloat-32, whose convolutions are 1e-3 off.

    `is_deterministic`: only with convolutions that add in one order, which those chosen for 16 bit do not.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = is_deterministic


def use_device(settings: Settings, compute: Compute) -> None:
    """Prepares this process to compute there."""
    if compute.device.type == "cpu":
        use_cpu(settings.num_threads)
    else:
        use_gpu(is_deterministic=settings.deterministic)


def engine_config(settings: Settings, compute: Compute) -> EngineConfig:
    """The engine's bounds for this device."""
    is_cpu = compute.device.type == "cpu"
    bounds = EngineConfig(
        max_slots=settings.num_slots(is_gpu=not is_cpu),
        max_waiting=settings.max_waiting,
        is_deterministic=settings.deterministic,
        uses_cuda_graphs=settings.cuda_graphs,
        uses_fused_kernels=settings.fused_kernels and not is_cpu,
    )
    if is_cpu:
        return bounds
    is_small = _free_bytes(compute) < SMALL_GPU_BYTES
    return replace(
        bounds,
        max_prefill_rows=512 if is_small else 2_048,
        max_render_frames=1_024 if is_small else 4_096,
        window_widths=GPU_WINDOW_WIDTHS,
        max_window_batch=32,
    )


def _free_bytes(compute: Compute) -> int:
    """Of the GPU, what torch keeps for itself included."""
    if not torch.cuda.is_available():
        return SMALL_GPU_BYTES  # the bounds of a GPU that is elsewhere
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info(compute.device)[0]


def build_engine(
    checkpoint: Checkpoint, compute: Compute, config: EngineConfig, recorder: Metrics = NOT_RECORDED
) -> Engine:
    """An engine with the checkpoint's GPT and vocoder, its thread running."""
    runner, renderer = apart(partial(_build_parts, checkpoint, compute, config, recorder))
    return Engine(runner, renderer, checkpoint.config.gpt, runner.config, recorder)


def _build_parts(
    checkpoint: Checkpoint, compute: Compute, config: EngineConfig, recorder: Metrics
) -> tuple[ModelRunner, Renderer]:
    device = compute.device
    vocoder = Vocoder(checkpoint.config.vocoder, checkpoint.tensors, device=device, dtype=compute.dtype)
    renderer = Renderer(vocoder, config, device, recorder)
    renderer.warm_up()
    runner = build_runner(checkpoint, compute, config)
    runner.warm_up()
    return runner, renderer


def build_runner(checkpoint: Checkpoint, compute: Compute, config: EngineConfig) -> ModelRunner:
    """With the checkpoint's GPT, not warmed up, and as many slots as a GPU has room for now, `config`'s at most.

    Raises `SettingsError` where kernels are asked for and cannot be, `StartupError` where there is no room for a slot.
    """
    shapes, device = checkpoint.config.gpt, compute.device
    kernels = None
    if config.uses_fused_kernels:
        if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
            raise SettingsError("XTTS_FUSED_KERNELS needs a C compiler: install gcc, or set it to false")
        if shapes.head_size & (shapes.head_size - 1):
            raise SettingsError(f"XTTS_FUSED_KERNELS cannot do heads of {shapes.head_size}: set it to false")
        kernels = load_kernels()
    make_linear = linear_maker(device, compute.dtype, is_int8=compute.is_int8)
    gpt = Gpt(shapes, checkpoint.tensors, device=device, make_linear=make_linear, kernels=kernels, dtype=compute.dtype)
    if device.type == "cuda":
        config = replace(config, max_slots=slots_that_fit(_free_bytes(compute), shapes, compute, config.max_slots))
    return ModelRunner(gpt, config, device=device, cache_dtype=compute.cache_dtype, kernels=kernels)


def slots_that_fit(free_bytes: int, shapes: GptConfig, compute: Compute, most: int) -> int:
    """Of a GPU with so many bytes left, `most` at most. Raises `StartupError` where not one does."""
    num_bytes = slot_bytes(shapes, compute.cache_dtype)
    fitting = (free_bytes - GPU_RESERVE_BYTES) // num_bytes - 1  # one more is there for rows that do not count
    if fitting < 1:
        raise StartupError(
            f"the GPU has {free_bytes >> 20:,} MiB left for speech, and a sentence takes {num_bytes >> 20} MiB beside "
            f"{GPU_RESERVE_BYTES >> 20:,} MiB of reserve: end what else uses it, or take a larger one"
        )
    if fitting < most:
        logger.warning("the GPU has room for %d sentences at once, not for %d", fitting, most)
    return min(most, fitting)


async def warm_up(engine: Engine, voice: VoiceLatents) -> None:
    """Speaks once, alone and in company, so that no user pays for first-time set-up."""
    for num_sequences in (1, 2):
        sampling = SamplingParams(num_forced_codes=WARM_UP_CODES)
        prompt = Prompt(tuple(range(2, 26)), voice, sampling, chunk_codes=STREAMING_CHUNKS)
        await asyncio.gather(*(_exhaust(engine, prompt) for _ in range(num_sequences)))


async def _exhaust(engine: Engine, prompt: Prompt) -> None:
    async for _ in engine.generate(prompt):
        pass
