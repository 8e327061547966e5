"""The nouns of sound: a decoded recording, and conversions of PCM samples. Knows no codec."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]  # [num_samples], mono, −1 … 1


@dataclass(frozen=True)
class Recording:
    """A decoded reference recording: mono float32 samples at the file's own rate."""

    samples: Samples
    sample_rate_hz: int

    def __post_init__(self) -> None:
        assert self.samples.ndim == 1
        assert self.samples.dtype == np.float32
        assert self.sample_rate_hz > 0

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate_hz


def to_int16_bytes(samples: Samples) -> bytes:
    """Little-endian signed 16-bit PCM, clipped at full scale (±32767)."""
    return np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()
