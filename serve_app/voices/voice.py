"""A voice's cached content, as tensors and as a safetensors file. Knows no model, no audio and no cache."""

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

TEMPORARY_SUFFIX = ".partial"


class VoiceFileError(ValueError):
    """A file that is not a whole, well-formed voice. Raised by `VoiceLatents.load` alone; no caller sees it."""


@dataclass(frozen=True, eq=False)
class VoiceLatents:
    """What the model keeps of a reference recording: all that is needed to speak in its voice."""

    cond_latents: torch.Tensor  # [32, width] float32 cpu: the GPT's conditioning prefix
    speaker_embedding: torch.Tensor  # [512] float32 cpu: what the vocoder is conditioned on

    def __post_init__(self) -> None:
        problem = _problem(self.cond_latents, self.speaker_embedding)
        assert problem is None, problem

    @property
    def num_bytes(self) -> int:
        return self.cond_latents.nbytes + self.speaker_embedding.nbytes

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        """Write a safetensors file whole or not at all: a temporary file beside `path`, then a rename.

        Safe against another process writing the same path; the last one wins. Raises OSError.
        """
        tensors = {
            "cond_latents": self.cond_latents.contiguous(),
            "speaker_embedding": self.speaker_embedding.contiguous(),
        }
        data = save(tensors, metadata)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    @classmethod
    def load(cls, path: Path) -> tuple["VoiceLatents", dict[str, str]]:
        """The voice in a file written by `save`, and its metadata. The tensors own their memory.

        Raises VoiceFileError for a file that is cut off, foreign or holds other tensors, OSError for one not readable.
        """
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                metadata = dict(file.metadata() or {})
                cond_latents = file.get_tensor("cond_latents").clone()
                speaker_embedding = file.get_tensor("speaker_embedding").clone()
        except SafetensorError as error:
            raise VoiceFileError(f"{path.name} is not a voice file: {error}") from error
        problem = _problem(cond_latents, speaker_embedding)
        if problem is not None:
            raise VoiceFileError(f"{path.name} is not a voice file: {problem}")
        return cls(cond_latents, speaker_embedding), metadata


def _problem(cond_latents: torch.Tensor, speaker_embedding: torch.Tensor) -> str | None:
    for name, tensor, num_dims in (("cond_latents", cond_latents, 2), ("speaker_embedding", speaker_embedding, 1)):
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            return f"{name} is {tensor.dtype} on {tensor.device}, not float32 on cpu"
        if tensor.dim() != num_dims or tensor.numel() == 0:
            return f"{name} has the shape {tuple(tensor.shape)}"
        if not bool(torch.isfinite(tensor).all()):
            return f"{name} holds numbers that are not finite"
    return None
