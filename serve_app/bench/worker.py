"""One side of the bench in a process of its own, so that memory is its own and only one side computes at a time."""

import logging
import multiprocessing
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Protocol

import torch

from serve_app.bench.measure import Measurement, proportional_memory_bytes
from serve_app.bench.workload import Utterance
from serve_app.compute_threads import apart
from serve_app.errors import ServiceError
from serve_app.heap import give_back_freed_memory
from serve_app.model.checkpoint import Checkpoint, load_checkpoint
from serve_app.model.config import NUM_CONDITIONING_LATENTS
from serve_app.model.device import choose_compute
from serve_app.settings import Settings
from serve_app.speech.engine_setup import engine_config, use_cpu, use_gpu
from serve_app.voices.voice import VoiceLatents

COQUI = "coqui"
VOICE_SEED = 7


class Side(Protocol):
    def run(self, jobs: list[Utterance], num_sampled: int) -> Measurement: ...


class Worker:
    """A running side. `name` is `coqui` or one of our number formats."""

    def __init__(self, name: str, settings: Settings, num_slots: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, name, settings, num_slots), daemon=True)
        self._process.start()
        theirs.close()
        self.device = str(self._receive())

    def run(self, jobs: list[Utterance], num_sampled: int = 0) -> tuple[Measurement, int]:
        """The measurement, and the process's proportional memory after it, in bytes."""
        self._pipe.send((jobs, num_sampled))
        measurement: tuple[Measurement, int] = self._receive()
        return measurement

    def close(self) -> None:
        self._pipe.send(None)
        self._process.join(30.0)

    def _receive(self) -> Any:
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


def _work(pipe: Connection, name: str, settings: Settings, num_slots: int) -> None:
    logging.disable(logging.WARNING)
    try:
        side, device = apart(partial(_build, name, settings, num_slots))
        pipe.send(device)
        while (order := pipe.recv()) is not None:
            measurement = side.run(*order)
            pipe.send((measurement, proportional_memory_bytes()))
    except ServiceError as error:
        pipe.send(error)
    except Exception as error:
        pipe.send(RuntimeError(f"{name}: {type(error).__name__}: {error}"))
        raise


def _build(name: str, settings: Settings, num_slots: int) -> tuple[Side, str]:
    use_cpu(settings.num_threads)
    compute = choose_compute(settings.device, settings.dtype, settings.quantization)
    checkpoint = load_checkpoint(
        settings.model, accept_cpml=settings.accept_cpml, cache_dir=settings.model_cache, progress=_silent
    )
    voice = made_up_voice(checkpoint)
    if name == COQUI:
        from serve_app.bench.coqui import CoquiSide

        return CoquiSide(checkpoint, voice, compute.device), str(compute.device)
    from serve_app.bench.ours import OurSide

    if compute.device.type == "cuda":
        use_gpu(is_deterministic=settings.deterministic)
    config = engine_config(settings.model_copy(update={"max_slots": num_slots}), compute)
    ours = OurSide(checkpoint, voice, compute, config)
    checkpoint.tensors.clear()
    give_back_freed_memory()  # as the service does
    return ours, str(compute)


def made_up_voice(checkpoint: Checkpoint) -> VoiceLatents:
    """Random latents of the model's shapes, the same each time."""
    generator = torch.Generator().manual_seed(VOICE_SEED)
    shapes = checkpoint.config
    cond_latents = 0.5 * torch.randn(NUM_CONDITIONING_LATENTS, shapes.gpt.width, generator=generator)
    speaker = torch.randn(shapes.vocoder.speaker_width, generator=generator)
    return VoiceLatents(cond_latents, torch.nn.functional.normalize(speaker, dim=0))


def _silent(_: str) -> None:
    """The bench says itself what it does."""
