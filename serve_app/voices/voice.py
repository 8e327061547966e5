"""A voice's cached content, as tensors and as a safetensors file. Knows no model, no audio and no cache."""

import json
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from serve_app.voices.storage import VoiceFileError

_HEADER_SIZE_BYTES = 8  # at a file's beginning, little-endian; the header, JSON, follows


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

    def to_bytes(self, metadata: dict[str, str]) -> bytes:
        """A safetensors file with the tensors and `metadata`."""
        tensors = {
            "cond_latents": self.cond_latents.contiguous(),
            "speaker_embedding": self.speaker_embedding.contiguous(),
        }
        return save(tensors, metadata)

    @classmethod
    def from_bytes(cls, data: bytes) -> tuple["VoiceLatents", dict[str, str]]:
        """The voice in a file made by `to_bytes`, and its metadata. The tensors own their memory.

        Raises VoiceFileError for a file that is cut off, foreign or holds other tensors.
        """
        try:
            tensors = load(data)
            cond_latents, speaker_embedding = tensors["cond_latents"].clone(), tensors["speaker_embedding"].clone()
        except (SafetensorError, KeyError) as error:  # KeyError: a tensor is missing, or torch has no such type
            raise VoiceFileError(f"it is not a voice file: {error!r}") from error
        problem = _problem(cond_latents, speaker_embedding)
        if problem is not None:
            raise VoiceFileError(f"it is not a voice file: {problem}")
        return cls(cond_latents, speaker_embedding), _metadata(data)


def _metadata(data: bytes) -> dict[str, str]:
    """Of a file that safetensors has found well-formed, but whose metadata it gives only to who reads from a path."""
    end = _HEADER_SIZE_BYTES + int.from_bytes(data[:_HEADER_SIZE_BYTES], "little")
    return dict(json.loads(data[_HEADER_SIZE_BYTES:end]).get("__metadata__") or {})


def _problem(cond_latents: torch.Tensor, speaker_embedding: torch.Tensor) -> str | None:
    for name, tensor, num_dims in (("cond_latents", cond_latents, 2), ("speaker_embedding", speaker_embedding, 1)):
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            return f"{name} is {tensor.dtype} on {tensor.device}, not float32 on cpu"
        if tensor.dim() != num_dims or tensor.numel() == 0:
            return f"{name} has the shape {tuple(tensor.shape)}"
        if not bool(torch.isfinite(tensor).all()):
            return f"{name} holds numbers that are not finite"
    return None
