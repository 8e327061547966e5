"""Windows for the vocoder: frames made as the service makes them, beside the samples that they stand for."""

from collections.abc import Callable, Sequence

import numpy as np
import soxr
import torch
from torch import Tensor

from serve_app.audio.pcm import Samples
from serve_app.model.config import VocoderConfig
from serve_app.model.frames import FrameGrid
from serve_app.training.batches import Batcher
from serve_app.training.codes import EncodedVoice
from serve_app.training.device import half_precision
from serve_app.training.gpt import Student, corrupt
from serve_app.training.references import draw_reference
from serve_app.training.spectrogram import SAMPLE_RATE_HZ
from serve_app.training.vocoder import Windows

PER_SENTENCE = 2  # windows from one sentence
NUM_EMBEDDINGS = 12  # that are kept of each voice

Embed = Callable[[Tensor], Tensor]  # samples [batch, n] at 16 kHz → [batch, speaker width]


def crop(
    latents: Tensor, samples: Samples, grid: FrameGrid, num_frames: int, draw: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A window of one sentence: latents [n, width] → frames [width, num_frames], samples [256 num_frames]."""
    total = grid.num_frames(len(latents))
    start = int(draw.integers(max(1, total - num_frames + 1)))
    stop = min(start + num_frames, total)
    frames = grid.frames(latents, start, stop).T
    piece = torch.from_numpy(samples[start * 256 : stop * 256])
    frames = torch.nn.functional.pad(frames, (0, num_frames - frames.shape[1]), mode="replicate")
    return frames, torch.nn.functional.pad(piece, (0, num_frames * 256 - len(piece)))


def at_24_khz(voice: EncodedVoice, index: int) -> Samples:
    samples = voice.folder.samples(voice.recordings[index])
    resampled: Samples = soxr.resample(samples, SAMPLE_RATE_HZ, 24_000).astype(np.float32)
    return resampled


class SpeakerVectors:
    """Some vectors of each voice, each of another piece of its speech."""

    def __init__(self, voices: Sequence[EncodedVoice], embed: Embed) -> None:
        self._vectors: list[Tensor] = []
        draw = np.random.default_rng(31)
        for voice in voices:
            pieces = [draw_reference(voice, 4 * SAMPLE_RATE_HZ, draw).numpy() for _ in range(NUM_EMBEDDINGS)]
            samples = np.stack([soxr.resample(piece, SAMPLE_RATE_HZ, 16_000) for piece in pieces])
            self._vectors.append(embed(torch.from_numpy(samples.astype(np.float32))).clone())

    def draw(self, voice: int, draw: np.random.Generator) -> Tensor:
        vectors = self._vectors[voice]
        return vectors[draw.integers(len(vectors))]


class PatchWindows:
    """Frames of the recordings' own patches: what the vocoder learns from before there is a GPT."""

    def __init__(self, voices: Sequence[EncodedVoice], vectors: SpeakerVectors, config: VocoderConfig) -> None:
        self._voices, self._vectors = voices, vectors
        self._grid = FrameGrid(config, 1.0)
        weights = np.array([len(voice.recordings) for voice in voices], dtype=float) ** 0.6
        self._weights = weights / weights.sum()

    def draw(self, batch: int, num_frames: int, draw: np.random.Generator) -> Windows:
        windows: list[tuple[Tensor, Tensor, Tensor]] = []
        while len(windows) < batch:
            number = int(draw.choice(len(self._voices), p=self._weights))
            voice = self._voices[number]
            index = int(draw.integers(len(voice.recordings)))
            components = voice.components[voice.starts[index] : voice.starts[index + 1]]
            latents = torch.from_numpy(components.astype(np.float32))
            samples = at_24_khz(voice, index)
            for _ in range(PER_SENTENCE):
                frames, piece = crop(latents, samples, self._grid, num_frames, draw)
                windows.append((frames, self._vectors.draw(number, draw), piece))
        return Windows(*(torch.stack(part) for part in zip(*windows[:batch], strict=True)))


class LatentWindows:
    """Frames of the GPT's latents, as it makes them when it follows a recording whose codes are partly changed."""

    def __init__(
        self, student: Student, batcher: Batcher, near: Tensor, corrupted: float, vectors: SpeakerVectors,
        config: VocoderConfig,
    ) -> None:  # fmt: skip
        self.student = student.eval()
        self._batcher, self._near, self._corrupted, self._vectors = batcher, near, corrupted, vectors
        self._grid = FrameGrid(config, 1.0)

    @torch.no_grad()
    def draw(self, batch: int, num_frames: int, draw: np.random.Generator) -> Windows:
        sentences = self._batcher.draw(-(-batch // PER_SENTENCE), 1, draw)
        generator = torch.Generator().manual_seed(int(draw.integers(2**31)))
        codes = corrupt(sentences.codes, self._near, self._corrupted, generator)
        gpt = self.student.gpt
        device = gpt.mel_head.weight.device
        moved = sentences.to(device)
        with half_precision(device):
            cond_latents = gpt.condition(moved.mels)[moved.voice_of]
            latents = gpt(cond_latents, moved.text, moved.text_lengths, codes.to(device)).audio_latents.float().cpu()
        windows: list[tuple[Tensor, Tensor, Tensor]] = []
        for item, rows in zip(sentences.items, latents, strict=True):
            samples = at_24_khz(self._batcher.voices[item.voice], item.index)
            for _ in range(PER_SENTENCE):
                frames, piece = crop(rows[: len(item.codes) + 1], samples, self._grid, num_frames, draw)
                windows.append((frames, self._vectors.draw(item.voice, draw), piece))
        return Windows(*(torch.stack(part) for part in zip(*windows[:batch], strict=True)))


@torch.no_grad()
def read_latents_instead(conv_pre: torch.nn.Conv1d, patch_head: torch.nn.Linear) -> None:
    """Turns a vocoder's first convolution, learnt on patches, into one that reads latents: `patch_head` makes the
    patches of them, and two linear maps are one."""
    weight, bias = conv_pre.weight, conv_pre.bias
    assert bias is not None
    bias += torch.einsum("oik,i->o", weight, patch_head.bias)
    conv_pre.weight = torch.nn.Parameter(torch.einsum("oik,ij->ojk", weight, patch_head.weight))
