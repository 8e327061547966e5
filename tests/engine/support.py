"""What the tests of model, engine and service share: made-up voices, engines on given weights, whole sequences."""

import asyncio
from collections.abc import Coroutine, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from serve_app.audio.pcm import Samples
from serve_app.engine.config import EngineConfig
from serve_app.engine.engine import Engine
from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.renderer import Renderer
from serve_app.engine.sequence import FinishReason, Prompt
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.config import NUM_CONDITIONING_LATENTS
from serve_app.model.device import Compute
from serve_app.model.gpt import Gpt
from serve_app.model.linear import linear_maker
from serve_app.model.vocoder import Vocoder
from serve_app.voices.voice import VoiceLatents

T = TypeVar("T")

CPU = torch.device("cpu")
FLOAT32 = Compute(CPU, torch.float32)
BFLOAT16 = Compute(CPU, torch.bfloat16)
INT8 = Compute(CPU, torch.float32, is_int8=True)
PLACEHOLDER, START, STOP = 1, 1_024, 1_025  # XTTS v2's ids that mean no sound, and the one its prefix is filled with

# Twenty texts in eight languages, of several scripts and lengths.
TEXTS = (
    ("en", "The quick brown fox jumps over the lazy dog."),
    ("en", "Yes."),
    ("en", "It costs $20.50 on the 3rd, Dr. Smith: 14% off!"),
    ("ko", "안녕하세요. 만나서 반갑습니다."),
    ("ko", "50 명의 병사가 있었다."),
    ("ko", "오늘은 날씨가 참 좋네요, 그렇죠?"),
    ("ja", "こんにちは、東京タワー!"),
    ("ja", "50人の兵士がいました。"),
    ("zh-cn", "在12.5秒内有50名士兵，你好！"),
    ("zh-cn", "今天天气很好。"),
    ("de", "Es gab 50 Soldaten über 12,5 Größen."),
    ("de", "Guten Morgen, wie geht es Ihnen?"),
    ("fr", "Il y avait 1.250 soldats l'été, à 20€ — ça va ?"),
    ("fr", "Bonjour tout le monde."),
    ("es", "¿Había 50 soldados, señor? El 1er día."),
    ("es", "Buenos días a todos."),
    ("ru", "Там было 50 солдат. Ёж & г-н."),
    ("ru", "Доброе утро."),
    ("ar", "كان هناك 50 جنديًا، أليس كذلك؟"),
    ("ar", "مرحبا بالعالم."),
)


@dataclass(frozen=True)
class Spoken:
    """One sequence from its first sample to its last."""

    samples: Samples
    codes: tuple[int, ...]
    num_chunks: int
    finish_reason: FinishReason | None


def make_voice(checkpoint: Checkpoint, seed: int) -> VoiceLatents:
    """Random latents of the right shapes: what they sound like does not matter here."""
    generator = torch.Generator().manual_seed(seed)
    width, speaker_width = checkpoint.config.gpt.width, checkpoint.config.vocoder.speaker_width
    speaker = torch.randn(speaker_width, generator=generator)
    cond_latents = 0.5 * torch.randn(NUM_CONDITIONING_LATENTS, width, generator=generator)
    return VoiceLatents(cond_latents, torch.nn.functional.normalize(speaker, dim=0))


def make_tokens(num_tokens: int, seed: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(2, 200, (num_tokens,), generator=generator).tolist())


def changed(
    checkpoint: Checkpoint, *, biases: Mapping[int, float] | None = None, max_codes: int | None = None
) -> Checkpoint:
    """The checkpoint with other biases of some codes, or another ceiling (and none of its codes per token)."""
    config, tensors = checkpoint.config, dict(checkpoint.tensors)
    bias = tensors["gpt.mel_head.bias"] = tensors["gpt.mel_head.bias"].clone()
    for code, value in (biases or {}).items():
        bias[code] = value
    if max_codes is not None:
        config = replace(config, gpt=replace(config.gpt, max_audio_tokens=max_codes + 3))
        name = "gpt.mel_pos_embedding.emb.weight"
        tensors[name] = tensors[name][: config.gpt.num_audio_positions].clone()
    return replace(checkpoint, config=replace(config, fixed_codes_per_token=None), tensors=tensors)


def make_gpt(checkpoint: Checkpoint, compute: Compute = FLOAT32) -> Gpt:
    make_linear = linear_maker(compute.device, compute.dtype, is_int8=compute.is_int8)
    return Gpt(
        checkpoint.config.gpt,
        checkpoint.tensors,
        device=compute.device,
        make_linear=make_linear,
    )


def make_runner(
    checkpoint: Checkpoint,
    config: EngineConfig,
    compute: Compute = FLOAT32,
    kind: type[ModelRunner] = ModelRunner,
    has_fixed_steps: bool | None = None,
) -> ModelRunner:
    gpt, device = make_gpt(checkpoint, compute), compute.device
    return kind(gpt, config, device=device, cache_dtype=compute.cache_dtype, has_fixed_steps=has_fixed_steps)


def make_vocoder(checkpoint: Checkpoint, compute: Compute = FLOAT32) -> Vocoder:
    return Vocoder(checkpoint.config.vocoder, checkpoint.tensors, device=compute.device, dtype=compute.dtype)


@contextmanager
def running(
    checkpoint: Checkpoint,
    config: EngineConfig | None = None,
    compute: Compute = FLOAT32,
    runner: ModelRunner | None = None,
    recorder: Metrics = NOT_RECORDED,
) -> Generator[Engine]:
    """An engine on these weights, closed at the end."""
    config = config or EngineConfig(max_slots=8)
    renderer = Renderer(make_vocoder(checkpoint, compute), config, compute.device, recorder)
    runner = runner or make_runner(checkpoint, config, compute)
    engine = Engine(runner, renderer, checkpoint.config.gpt, config, recorder)
    try:
        yield engine
    finally:
        engine.close()


async def speak(engine: Engine, prompt: Prompt) -> Spoken:
    outputs = [output async for output in engine.generate(prompt)]
    samples = np.concatenate([output.samples for output in outputs])
    assert [output.finish_reason for output in outputs[:-1]] == [None] * (len(outputs) - 1)
    return Spoken(samples, outputs[-1].codes, len(outputs), outputs[-1].finish_reason)


def speak_alone(engine: Engine, prompts: Iterable[Prompt]) -> list[Spoken]:
    """Each prompt with the engine to itself."""

    async def one_by_one() -> list[Spoken]:
        return [await speak(engine, prompt) for prompt in prompts]

    return run(one_by_one())


def run(coroutine: Coroutine[Any, Any, T], timeout_s: float = 120.0) -> T:
    """On an event loop of its own; what waits for ever fails instead."""

    async def bounded() -> T:
        return await asyncio.wait_for(coroutine, timeout_s)

    return asyncio.run(bounded())


def largest_difference(one: Samples | Tensor, other: Samples | Tensor) -> float:
    """Infinite for different shapes."""
    if one.shape != other.shape:
        return float("inf")
    return float(np.abs(np.asarray(one) - np.asarray(other)).max(initial=0.0))
