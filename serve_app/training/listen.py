"""Where words are lost on the way from a recording to speech: Whisper on what each part of a run makes of recordings
that no part has learnt from.

recording → its patches through the patch vocoder → the GPT's latents, following the recording, through the vocoder
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import resample

from serve_app.model.frames import FrameGrid
from serve_app.training.batches import Batcher
from serve_app.training.gpt import Student
from serve_app.training.hearing import Ears, Heard, Samples, word_error_rate
from serve_app.training.references import REFERENCE_S, draw_reference, reference_mel
from serve_app.training.speaker_teacher import SAMPLE_RATE_HZ as TEACHER_RATE_HZ
from serve_app.training.spectrogram import SAMPLE_RATE_HZ
from serve_app.training.vocoder import SAMPLE_RATE_HZ as VOCODER_RATE_HZ
from serve_app.training.vocoder_module import VocoderModule
from serve_app.training.windows import Embed


@dataclass(frozen=True)
class Parts:
    """What a run has made. `embed`: samples [1, n] at 16 kHz → [1, speaker width]."""

    batcher: Batcher
    student: Student
    patch_vocoder: VocoderModule
    vocoder: VocoderModule
    embed: Embed
    mel_stats: Tensor


@torch.inference_mode()
def losses_on_the_way(parts: Parts, voice: str, num_sentences: int, ears: Ears) -> Iterator[tuple[str, float]]:
    """Word error rates of each step, for the validation sentences of one voice."""
    number = next(i for i, each in enumerate(parts.batcher.voices) if each.folder.name == voice)
    source = parts.batcher.voices[number]
    reference = draw_reference(source, int(REFERENCE_S * SAMPLE_RATE_HZ), np.random.default_rng(45))[None]
    vector = parts.embed(resample(reference, SAMPLE_RATE_HZ, TEACHER_RATE_HZ))
    cond_latents = parts.student.gpt.condition(reference_mel(reference, parts.mel_stats))
    unseen = parts.batcher.validation_of(number)[:num_sentences]

    def heard(make: Callable[[int], Samples], rate_hz: int) -> float:
        texts = (source.recordings[index].text for index in unseen)
        spoken = (ears.transcribe(make(index), rate_hz) for index in unseen)
        return word_error_rate([Heard(asked, understood) for asked, understood in zip(texts, spoken, strict=True)])

    def from_patches(index: int) -> Samples:
        patches = parts.batcher.item(number, index).components[:-1]
        return _speak(parts.patch_vocoder, patches, vector)

    def from_latents(index: int) -> Samples:
        item = parts.batcher.item(number, index)
        start = torch.tensor([parts.student.gpt.config.start_audio_token])
        codes = torch.cat([start, item.codes])[None]
        out = parts.student.gpt(cond_latents, item.text[None], torch.tensor([len(item.text)]), codes)
        return _speak(parts.vocoder, out.audio_latents[0, :-1], vector)

    yield "the recordings", heard(lambda index: source.folder.samples(source.recordings[index]), SAMPLE_RATE_HZ)
    yield "their patches through the patch vocoder", heard(from_patches, VOCODER_RATE_HZ)
    yield "the GPT's latents through the vocoder", heard(from_latents, VOCODER_RATE_HZ)


def _speak(vocoder: VocoderModule, latents: Tensor, vector: Tensor) -> Samples:
    grid = FrameGrid(vocoder.config, 1.0)
    frames = grid.frames(latents, 0, grid.num_frames(len(latents)))
    samples: Samples = vocoder(frames.T[None], vector)[0].numpy()
    return samples
