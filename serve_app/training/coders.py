"""The coder that belongs to a checkpoint: the quantiser that `mini` ships, or the DVAE of XTTS's published layout."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from serve_app.errors import CheckpointError
from serve_app.model.config import CODE_STRIDE, GptConfig
from serve_app.training.codes import QUANTIZER_FILE, Coder, Quantizer, QuantizerCoder

DVAE_FILE, MEL_STATS_FILE = "dvae.pth", "mel_stats.pth"


class DvaeCoder:
    """XTTS's discrete VAE, in coqui's own code with the sizes that its GPT trainer gives it."""

    def __init__(self, directory: Path, gpt: GptConfig) -> None:
        """Raises CheckpointError."""
        from TTS.tts.layers.tortoise.arch_utils import TorchMelSpectrogram
        from TTS.tts.layers.xtts.dvae import DiscreteVAE

        self._dvae: Any = DiscreteVAE(
            channels=80,
            normalization=None,
            positional_dims=1,
            num_tokens=gpt.num_audio_tokens - 2,
            codebook_dim=512,
            hidden_dim=512,
            num_resnet_blocks=3,
            kernel_size=3,
            num_layers=2,
            use_transposed_convs=False,
        )
        try:
            self._dvae.load_state_dict(torch.load(directory / DVAE_FILE, map_location="cpu", weights_only=True))
            stats: Tensor = torch.load(directory / MEL_STATS_FILE, map_location="cpu", weights_only=True)
        except (RuntimeError, OSError, ValueError) as error:
            raise CheckpointError(f"{directory / DVAE_FILE} or {MEL_STATS_FILE} cannot be read: {error}") from error
        self._dvae.eval().requires_grad_(False)
        self._mel: Any = TorchMelSpectrogram(mel_norm_file=None, sampling_rate=22_050)
        self._mel.mel_norms = stats

    @torch.inference_mode()
    def encode(self, samples: Tensor) -> tuple[Tensor, Tensor | None]:
        count = -(-samples.shape[0] // CODE_STRIDE)
        padded = torch.nn.functional.pad(samples, (0, count * CODE_STRIDE - samples.shape[0]))
        mel: Tensor = self._mel(padded[None])  # [1, 80, 4 count + 1]
        codes: Tensor = self._dvae.get_codebook_indices(mel[:, :, : 4 * count])
        return codes[0, :count].clone(), None


def find_coder(directory: Path, gpt: GptConfig) -> Coder:
    """Raises CheckpointError where the directory has none."""
    if (directory / QUANTIZER_FILE).is_file():
        return QuantizerCoder(Quantizer.load(directory / QUANTIZER_FILE))
    if (directory / DVAE_FILE).is_file() and (directory / MEL_STATS_FILE).is_file():
        return DvaeCoder(directory, gpt)
    raise CheckpointError(
        f"{directory} has no coder, so nothing can be learnt from recordings: put XTTS's {DVAE_FILE} and "
        f"{MEL_STATS_FILE} beside its weights"
    )
