"""coqui-tts's own GPT and vocoder on a checkpoint's weights, and our runner led along its codes."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from serve_app.bench.coqui import build_coqui
from serve_app.engine.config import EngineConfig
from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.sampler import NEAR_TIE
from serve_app.engine.sequence import WHOLE, Prompt, SamplingParams, Sequence, Status
from serve_app.engine.slots import PLACEHOLDER_ID
from serve_app.model.checkpoint import Checkpoint, load_checkpoint
from serve_app.model.device import Compute
from serve_app.voices.voice import VoiceLatents
from tests.engine.support import FLOAT32, make_runner


@cache
def load(model: str, device: str = "cpu") -> tuple[Checkpoint, Any]:
    """A synthetic model or `mini`, and coqui's `Xtts` over the same tensors, once a session."""
    with TemporaryDirectory() as folder:  # of a file's hash
        checkpoint = load_checkpoint(model, accept_cpml=False, cache_dir=Path(folder), progress=lambda line: None)
    return checkpoint, build_coqui(checkpoint, device)


@dataclass(frozen=True)
class Reference:
    """What `gpt.generate` gave for a prompt, and how far apart its two best scores lay at each step."""

    codes: list[int]
    gaps: list[float]


@torch.no_grad()
def generate(coqui: Any, prompt: Prompt, **options: Any) -> Reference:
    """Greedy codes of coqui's GPT. A forced length is forced here too."""
    if prompt.sampling.num_forced_codes is not None:
        options |= dict.fromkeys(("min_new_tokens", "max_new_tokens"), prompt.sampling.num_forced_codes)
    codes, generated = coqui.gpt.generate(
        cond_latents=prompt.voice.cond_latents[None].to(coqui.device),
        text_inputs=torch.tensor([prompt.text_tokens], device=coqui.device),
        do_sample=False,
        num_beams=1,
        repetition_penalty=prompt.sampling.repetition_penalty,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    best_two = torch.stack([scores[0].topk(2).values for scores in generated.scores])
    return Reference(codes[0].tolist(), (best_two[:, 0] - best_two[:, 1]).tolist())


@torch.no_grad()
def second_pass(coqui: Any, prompt: Prompt, codes: list[int]) -> Tensor:
    """The latents that coqui's vocoder reads, [num codes, width]."""
    device = coqui.device
    latents: Tensor = coqui.gpt(
        torch.tensor([prompt.text_tokens], device=device),
        torch.tensor([len(prompt.text_tokens)], device=device),
        torch.tensor([codes], device=device),
        torch.tensor([len(codes) * coqui.gpt.code_stride_len], device=device),
        cond_latents=prompt.voice.cond_latents[None].to(device),
        return_attentions=False,
        return_latent=True,
    )
    return latents[0]


@torch.no_grad()
def waveform(coqui: Any, latents: Tensor, voice: VoiceLatents, speed: float) -> Tensor:
    """Samples [n], as `Xtts.inference` makes them of latents [num codes, width]."""
    stretched = latents[None]
    if speed != 1.0:
        stretched = functional.interpolate(stretched.transpose(1, 2), scale_factor=1.0 / speed, mode="linear")
        stretched = stretched.transpose(1, 2)
    samples: Tensor = coqui.hifigan_decoder(stretched, g=voice.speaker_embedding[None, :, None].to(coqui.device))
    return samples[0, 0]


def greedy(tokens: tuple[int, ...], voice: VoiceLatents, num_codes: int | None, penalty: float = 5.0) -> Prompt:
    sampling = SamplingParams(is_greedy=True, num_forced_codes=num_codes, repetition_penalty=penalty)
    return Prompt(tokens, voice, sampling, chunk_codes=WHOLE)


def sampled(prompt: Prompt, seed: int, **changes: Any) -> Prompt:
    """The prompt with noise of its own."""
    return replace(prompt, sampling=replace(prompt.sampling, is_greedy=False, seed=seed), **changes)


@dataclass(frozen=True)
class Followed:
    """Our runner's way along the reference's codes."""

    latents: list[Tensor]  # of each prompt, [num codes, width]
    num_codes: int
    num_forced: int  # near-ties that went another way, where the reference's code was put in place of ours


def follow(
    checkpoint: Checkpoint,
    prompts: list[Prompt],
    references: list[Reference],
    compute: Compute = FLOAT32,
    near_tie: float = NEAR_TIE,
    runner: ModelRunner | None = None,
) -> Followed:
    """All prompts in one batch. Fails at the first code that differs from the reference's without a near-tie."""
    runner = runner or make_runner(checkpoint, EngineConfig(max_slots=len(prompts)), compute)
    alive = [
        Sequence(index, prompt, status=Status.RUNNING, slot=index, num_codes=0) for index, prompt in enumerate(prompts)
    ]
    everyone = list(alive)
    num_forced = 0
    result = runner.prefill(tuple(alive)).wait()
    while True:
        for sequence, code in zip(alive, result.codes, strict=True):
            reference, position = references[sequence.sequence_id], sequence.num_codes
            expected = reference.codes[position]
            if code != expected:
                where = f"prompt {sequence.sequence_id}, code {position}: {code}, not {expected}"
                assert reference.gaps[position] < near_tie, where
                _force(runner, sequence, code, reference.codes[: position + 1])
                num_forced += 1
            sequence.num_codes += 1
        alive = [sequence for sequence in alive if sequence.num_codes < len(references[sequence.sequence_id].codes)]
        if not alive:
            break
        result = runner.decode(tuple(alive)).wait()
    latents = [runner.latents(sequence).clone() for sequence in everyone]
    return Followed(latents, sum(sequence.num_codes for sequence in everyone), num_forced)


def _force(runner: ModelRunner, sequence: Sequence, chosen: int, codes: list[int]) -> None:
    slot, start = sequence.slot, runner._gpt.config.start_audio_token
    runner._state.seen[slot, chosen] = chosen in {PLACEHOLDER_ID, start, *codes}
    runner._state.seen[slot, codes[-1]] = True
    runner._state.codes[slot, sequence.num_codes] = codes[-1]
