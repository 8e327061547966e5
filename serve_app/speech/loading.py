"""From settings to a warm service: checkpoint, engine, voices. The only place that knows how the rooms fit together."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from serve_app.audio.pcm import Samples
from serve_app.compute_threads import apart
from serve_app.engine.engine import Engine
from serve_app.engine.gpu_reporter import GpuReporter
from serve_app.engine.memory import tried_twice
from serve_app.errors import EngineFailed
from serve_app.heap import give_back_freed_memory
from serve_app.metrics import Metrics
from serve_app.model.checkpoint import Checkpoint, load_checkpoint
from serve_app.model.conditioning import VoiceEncoder
from serve_app.model.device import choose_compute, taken_bytes
from serve_app.model.tokenizer import Tokenizer
from serve_app.settings import Settings
from serve_app.speech.engine_setup import build_engine, engine_config, use_device, warm_up
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

MADE_UP_VOICE = "this checkpoint brings no voices: the voice 'default' is a made-up one; send a reference recording"


def load_service(settings: Settings, progress: Progress, recorder: Metrics) -> SpeechService:
    """See `SpeechService.load`."""
    return apart(partial(_load_service, settings, progress, recorder))


def _load_service(settings: Settings, progress: Progress, recorder: Metrics) -> SpeechService:
    file = settings.pronunciations_file
    dictionary = Dictionary() if file is None else Dictionary.read(file)
    compute = choose_compute(settings.device, settings.dtype, settings.quantization)
    use_device(settings, compute)
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
