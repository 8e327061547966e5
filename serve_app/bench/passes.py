"""Sequences and windows as they are in the middle of speech, to measure the engine's passes with."""

import torch

from serve_app.engine.audio_stream import AudioStream, Window
from serve_app.engine.config import EngineConfig
from serve_app.engine.sequence import PREFIX_EXTRA_ROWS, WHOLE, Prompt, SamplingParams, Sequence, Status
from serve_app.model.config import NUM_CONDITIONING_LATENTS, GptConfig
from serve_app.model.vocoder import Vocoder
from serve_app.voices.voice import VoiceLatents

NUM_TOKENS = 30  # of a sentence
NUM_LATENTS, NUM_FRAMES_OUT = 200, 100  # of a stream that has been heard for a second


def running_sequences(shapes: GptConfig, rows: int, length: int) -> tuple[Sequence, ...]:
    """In the first slots, as if their last code but one filled the cache up to `length`."""
    voice = VoiceLatents(torch.zeros(NUM_CONDITIONING_LATENTS, shapes.width), torch.zeros(1))
    prompts = [Prompt(tuple(range(2, 2 + NUM_TOKENS)), voice, SamplingParams(seed=seed)) for seed in range(rows)]
    num_codes = length - NUM_TOKENS - PREFIX_EXTRA_ROWS
    return tuple(
        Sequence(slot, prompt, status=Status.RUNNING, slot=slot, num_codes=num_codes)
        for slot, prompt in enumerate(prompts)
    )


def due_windows(
    vocoder: Vocoder, config: EngineConfig, device: torch.device, num: int, num_frames: int
) -> tuple[Window, ...]:
    """Of as many streams, each of `num_frames`, a width of the engine's."""
    shapes, generator = vocoder.config, torch.Generator().manual_seed(1)
    windows = []
    for _ in range(num):
        voice = VoiceLatents(torch.zeros(1, 1), torch.randn(shapes.speaker_width, generator=generator))
        stream = AudioStream(vocoder, Prompt((2,), voice, SamplingParams(), chunk_codes=WHOLE), config, due_s=0.0)
        stream.complete(torch.randn(NUM_LATENTS, shapes.input_width, generator=generator).to(device))
        stream.num_out = NUM_FRAMES_OUT
        windows.append(stream.next_window(num_frames))
    assert {window.num_frames for window in windows} == {num_frames}
    return tuple(windows)
