"""From settings to a warm service: checkpoint, engine, voices. The only place that knows how the rooms fit together."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from serve_app.audio.pcm import Samples
from serve_app.compute_threads import apart
from serve_app.engine.config import EngineConfig
from serve_app.engine.engine import Engine
from serve_app.engine.gpu_reporter import GpuReporter
from serve_app.engine.memory import tried_twice
from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.renderer import Renderer
from serve_app.engine.sequence import STREAMING_CHUNKS, Prompt, SamplingParams
from serve_app.errors import EngineFailed
from serve_app.heap import give_back_freed_memory
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.model.checkpoint import Checkpoint, load_checkpoint
from serve_app.model.conditioning import VoiceEncoder
from serve_app.model.device import Compute, choose_compute, num_cpus, taken_bytes
from serve_app.model.gpt import Gpt
from serve_app.model.linear import linear_maker
from serve_app.model.tokenizer import Tokenizer
from serve_app.model.vocoder import Vocoder
from serve_app.settings import Settings
from serve_app.speech.request import DEFAULT_VOICE
from serve_app.speech.service import SpeechService
from serve_app.speech.voice_room import VoiceRoom
from serve_app.text.dictionary import Dictionary
from serve_app.text.pauses import read
from serve_app.voices.catalogue import Catalogue
from serve_app.voices.info import VoiceInfo
from serve_app.voices.reference import ReferenceTrimmer
from serve_app.voices.storage import open_storage
from serve_app.voices.store import VoiceStore
from serve_app.voices.voice import VoiceLatents

logger = logging.getLogger(__name__)

Progress = Callable[[str], None]

ONEDNN_KERNELS = 8_192  # compiled ones kept; the default of 1,024 is less than all window widths and batch sizes need
WARM_UP_CODES = 48  # past the first three chunks
# Frames of a window on a GPU: each is captured for several batches, and a stream's first ones find one that is near.
GPU_WINDOW_WIDTHS = (16, 32, 48, 64, 80, 96, 128, 192, 256)
MADE_UP_VOICE = "this checkpoint brings no voices: the voice 'default' is a made-up one; send a reference recording"


def load_service(settings: Settings, progress: Progress, recorder: Metrics) -> SpeechService:
    """See `SpeechService.load`."""
    return apart(partial(_load_service, settings, progress, recorder))


def _load_service(settings: Settings, progress: Progress, recorder: Metrics) -> SpeechService:
    file = settings.pronunciations_file
    dictionary = Dictionary() if file is None else Dictionary.read(file)
    compute = choose_compute(settings.device, settings.dtype, settings.quantization)
    if compute.device.type == "cpu":
        use_cpu(settings.num_threads)
    else:
        use_gpu(is_deterministic=settings.deterministic)
    started_s, bytes_before = time.monotonic(), taken_bytes(compute.device)
    checkpoint = load_checkpoint(
        settings.model, accept_cpml=settings.accept_cpml, cache_dir=settings.model_cache, progress=progress
    )
    for notice in checkpoint.notices:
        logger.warning("%s: %s", settings.model, notice)
    encoder = VoiceEncoder(checkpoint, compute.device)
    voices, notices = own_voices(checkpoint, encoder)
    tokenizer = Tokenizer(checkpoint.tokenizer_file, checkpoint.config.languages, checkpoint.pronunciations_file)
    progress(f"building the engine: {compute}")
    engine = build_engine(checkpoint, compute, engine_config(settings, compute), recorder)
    checkpoint.tensors.clear()  # each part has packed its own
    give_back_freed_memory()
    reporter = GpuReporter(recorder, compute.device) if compute.device.type == "cuda" else None
    if reporter is not None:
        reporter.start()
    progress("warming up")
    asyncio.run(warm_up(engine, voices[DEFAULT_VOICE]))
    for language in checkpoint.config.languages:
        next(read("1", language))  # a language's rules are compiled once
    storage = open_storage(settings)
    logger.info("voices are kept in %s", storage)
    store = VoiceStore(
        storage,
        settings.voice_cache_bytes,
        checkpoint.fingerprint,
        lambda samples, _: encode_voice(encoder, engine, samples, recorder),
        ReferenceTrimmer(checkpoint.config.conditioning.max_reference_s),
        recorder,
    )
    progress(f"{checkpoint.config.name} is ready after {time.monotonic() - started_s:.1f} s")
    return SpeechService(
        settings,
        checkpoint.config,
        tokenizer,
        engine,
        VoiceRoom(voices, store, Catalogue(open_storage(settings), settings.max_voices), voice_infos(checkpoint)),
        device=compute.device.type,
        notices=(*checkpoint.notices, *notices),
        recorder=recorder,
        num_bytes=max(0, taken_bytes(compute.device) - bytes_before) + engine.num_untouched_bytes,
        gpu_reporter=reporter,
        dictionary=dictionary,
    )


def encode_voice(encoder: VoiceEncoder, engine: Engine, samples: Samples, recorder: Metrics) -> VoiceLatents:
    """On the engine's device, beside its steps. Raises `OutOfMemory`, and `EngineFailed` where the device is broken.

    What encoding leaves on the heap is given back each time: a CPU's heap would grow by a megabyte a voice.
    """
    try:
        latents = tried_twice(lambda: encoder.encode(samples), "voice", recorder)
        give_back_freed_memory()
        return latents
    except torch.AcceleratorError as error:  # latched: nothing computes in this process any more
        failure = EngineFailed(f"the device failed ({error}): restart the replica")
        engine.fail(failure)
        raise failure from error


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


def engine_config(settings: Settings, compute: Compute) -> EngineConfig:
    """The engine's bounds for this device."""
    is_cpu = compute.device.type == "cpu"
    bounds = EngineConfig(
        max_slots=settings.num_slots(is_gpu=not is_cpu),
        max_waiting=settings.max_waiting,
        is_deterministic=settings.deterministic,
        uses_cuda_graphs=settings.cuda_graphs,
    )
    if is_cpu:
        return bounds
    return replace(
        bounds,
        max_prefill_rows=2_048,
        max_render_frames=4_096,
        window_widths=GPU_WINDOW_WIDTHS,
        max_window_batch=32,
    )


def build_engine(
    checkpoint: Checkpoint, compute: Compute, config: EngineConfig, recorder: Metrics = NOT_RECORDED
) -> Engine:
    """An engine with the checkpoint's GPT and vocoder, its thread running."""
    runner, renderer = apart(partial(_build_parts, checkpoint, compute, config, recorder))
    return Engine(runner, renderer, checkpoint.config.gpt, config, recorder)


def _build_parts(
    checkpoint: Checkpoint, compute: Compute, config: EngineConfig, recorder: Metrics
) -> tuple[ModelRunner, Renderer]:
    shapes, device = checkpoint.config, compute.device
    make_linear = linear_maker(device, compute.dtype, is_int8=compute.is_int8)
    gpt = Gpt(shapes.gpt, checkpoint.tensors, device=device, make_linear=make_linear)
    vocoder = Vocoder(shapes.vocoder, checkpoint.tensors, device=device, dtype=compute.dtype)
    renderer = Renderer(vocoder, config, device, recorder)
    renderer.warm_up()
    runner = ModelRunner(gpt, config, device=device, cache_dtype=compute.cache_dtype)
    runner.warm_up()
    return runner, renderer


async def warm_up(engine: Engine, voice: VoiceLatents) -> None:
    """Speaks once, alone and in company, so that no user pays for first-time set-up."""
    for num_sequences in (1, 2):
        sampling = SamplingParams(num_forced_codes=WARM_UP_CODES)
        prompt = Prompt(tuple(range(2, 26)), voice, sampling, chunk_codes=STREAMING_CHUNKS)
        await asyncio.gather(*(_exhaust(engine, prompt) for _ in range(num_sequences)))


async def _exhaust(engine: Engine, prompt: Prompt) -> None:
    async for _ in engine.generate(prompt):
        pass


def own_voices(checkpoint: Checkpoint, encoder: VoiceEncoder) -> tuple[Mapping[str, VoiceLatents], tuple[str, ...]]:
    """The checkpoint's own voices, and one named `default`: the first of them, or a made-up one."""
    speakers = checkpoint.speakers
    if DEFAULT_VOICE in speakers:
        return speakers, ()
    if speakers:
        return {DEFAULT_VOICE: next(iter(speakers.values())), **speakers}, ()
    return {DEFAULT_VOICE: encoder.encode(_made_up_reference())}, (MADE_UP_VOICE,)


def voice_infos(checkpoint: Checkpoint) -> Mapping[str, VoiceInfo]:
    """What the checkpoint says of its voices; the default one is the first under another name."""
    first = next(iter(checkpoint.speakers), None)
    infos = dict(checkpoint.voice_infos)
    if first in infos:
        infos.setdefault(DEFAULT_VOICE, replace(infos[first], name=DEFAULT_VOICE))
    return infos


def _made_up_reference(sample_rate_hz: int = 22_050, duration_s: float = 6.0) -> Samples:
    """Something voice-like to encode: a gliding buzz with a formant-like tilt, [n] float32."""
    time_s = np.arange(int(sample_rate_hz * duration_s)) / sample_rate_hz
    pitch_hz = 120.0 + 25.0 * np.sin(2.0 * np.pi * 0.7 * time_s)
    phase = 2.0 * np.pi * np.cumsum(pitch_hz) / sample_rate_hz
    buzz = sum(np.sin(k * phase) / k for k in range(1, 24))
    syllables = 0.5 - 0.5 * np.cos(2.0 * np.pi * 4.0 * time_s)
    return (0.1 * buzz * syllables).astype(np.float32)
