"""Stage `codes`: a vector quantiser of log-mel patches, and the codes and patches of every recording.

Patches are kept as their principal components. A patch's code is its nearest of 1,024 centroids (k-means), which stand
where XTTS has its DVAE's codebook.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from serve_app.model.config import CODE_STRIDE
from serve_app.training.recordings import Recording, VoiceFolder
from serve_app.training.spectrogram import patches

logger = logging.getLogger(__name__)

NUM_CODES = 1_024
ROUNDS = 12
PATCHES_TO_LEARN_BY = 250_000
CODES_FILE, COMPONENTS_FILE, QUANTIZER_FILE = "codes.i16", "components.f16", "quantizer.safetensors"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Quantizer:
    """`components` [320, c] orthonormal columns; `centroids` [1024, c] in their coordinates; `scale`: what
    coordinates are divided by, so that their mean square is 1 over all components."""

    mean: Tensor
    components: Tensor
    centroids: Tensor
    scale: Tensor

    def project(self, patch: Tensor) -> Tensor:
        """[..., 320] → [..., c]."""
        return (patch - self.mean) @ self.components / self.scale

    def encode(self, projected: Tensor) -> Tensor:
        """[n, c] → codes [n] int64."""
        return torch.cdist(projected, self.centroids).argmin(dim=1)

    def patches_of(self, projected: Tensor) -> Tensor:
        """[..., c] → log-mel patches [..., 320]."""
        return projected * self.scale @ self.components.T + self.mean

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: value.contiguous() for key, value in vars(self).items()}, path)
        path.chmod(0o644)  # the library writes for the owner alone

    @staticmethod
    def load(path: Path) -> "Quantizer":
        return Quantizer(**load_file(path))


def learn_quantizer(
    sample: Tensor, *, num_components: int, num_codes: int = NUM_CODES, seed: int = 0
) -> tuple[Quantizer, float]:
    """Patches [n, 320] → a quantiser, and the share of their variance that codes keep."""
    mean = sample.mean(dim=0)
    centred = sample - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred / len(sample))
    components = vectors.flip(1)[:, :num_components].contiguous()
    projected = centred @ components
    scale = projected.pow(2).mean().sqrt()
    projected = projected / scale
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(projected), generator=generator)
    centroids = projected[shuffled[torch.arange(num_codes) % len(projected)]].clone()
    for _ in range(ROUNDS):
        nearest = _nearest(projected, centroids)
        counts = torch.bincount(nearest, minlength=num_codes)
        sums = torch.zeros_like(centroids).index_add_(0, nearest, projected)
        is_used = counts > 0
        centroids[is_used] = sums[is_used] / counts[is_used, None]
        elsewhere = torch.randint(len(projected), (int((~is_used).sum()),), generator=generator)
        centroids[~is_used] = projected[elsewhere]
    error = (projected - centroids[_nearest(projected, centroids)]).pow(2).sum() / projected.pow(2).sum()
    return Quantizer(mean, components, centroids, scale), 1.0 - float(error)


def _nearest(points: Tensor, centroids: Tensor) -> Tensor:
    return torch.cat([torch.cdist(chunk, centroids).argmin(dim=1) for chunk in points.split(16_384)])


def sample_patches(folders: Sequence[VoiceFolder], count: int, seed: int = 0) -> Tensor:
    """Patches [about count, 320] from recordings of all voices, each voice with the share that it has."""
    draw = np.random.default_rng(seed)
    found: list[Tensor] = []
    everything = [(folder, recording) for folder in folders for recording in folder.recordings()]
    total = 0
    for index in draw.permutation(len(everything)):
        folder, recording = everything[index]
        found.append(patches(torch.from_numpy(folder.samples(recording))))
        total += len(found[-1])
        if total >= count:
            break
    return torch.cat(found)


class Coder(Protocol):
    """What makes codes of samples."""

    def encode(self, samples: Tensor) -> tuple[Tensor, Tensor | None]:
        """[n] at 22.05 kHz → codes [ceil(n / 1024)], and the patches' components [ceil(n / 1024), c] where it has
        some."""
        ...


@dataclass(frozen=True)
class QuantizerCoder:
    quantizer: Quantizer

    def encode(self, samples: Tensor) -> tuple[Tensor, Tensor | None]:
        components = self.quantizer.project(patches(samples))
        return self.quantizer.encode(components), components


def encode_voice(folder: VoiceFolder, coder: Coder, report: Progress) -> None:
    """Writes codes.i16 [all patches] and, where the coder has some, components.f16 [all patches, c] beside the
    samples, where they are not complete. A recording's patches follow those of the one before."""
    recordings = folder.recordings()
    total = sum(num_patches(recording) for recording in recordings)
    codes_file, components_file = folder.folder / CODES_FILE, folder.folder / COMPONENTS_FILE
    if codes_file.is_file() and codes_file.stat().st_size == 2 * total:
        return
    with codes_file.open("wb") as codes_out, components_file.open("wb") as components_out:
        for recording in recordings:
            codes, components = coder.encode(torch.from_numpy(folder.samples(recording)))
            if components is not None:
                components_out.write(components.to(torch.float16).numpy().tobytes())
            codes_out.write(codes.to(torch.int16).numpy().tobytes())
    report(f"{folder.name}: {total} codes of {len(recordings)} sentences")


def num_patches(recording: Recording) -> int:
    return -(-recording.num_samples // CODE_STRIDE)


@dataclass(frozen=True)
class EncodedVoice:
    """A voice's recordings with their codes."""

    folder: VoiceFolder
    recordings: list[Recording]
    starts: npt.NDArray[np.int64]  # of each recording's patches, one more than there are recordings
    codes: npt.NDArray[np.int16]
    components: npt.NDArray[np.float16]  # [all patches, c]; c is 0 where the coder has none

    @staticmethod
    def open(folder: VoiceFolder) -> "EncodedVoice":
        recordings = folder.recordings()
        starts = np.concatenate([[0], np.cumsum([num_patches(recording) for recording in recordings])]).astype(np.int64)
        codes = np.memmap(folder.folder / CODES_FILE, dtype=np.int16, mode="r")
        has_components = (folder.folder / COMPONENTS_FILE).stat().st_size > 0
        if not has_components:
            return EncodedVoice(folder, recordings, starts, codes, np.zeros((len(codes), 0), dtype=np.float16))
        components = np.memmap(folder.folder / COMPONENTS_FILE, dtype=np.float16, mode="r")
        return EncodedVoice(folder, recordings, starts, codes, components.reshape(len(codes), -1))
