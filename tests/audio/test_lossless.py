"""What is kept of speech is read again bit for bit."""

import numpy as np
import pytest

from serve_app.audio.lossless import from_flac, to_flac
from serve_app.audio.pcm import to_int16_bytes


@pytest.mark.parametrize("num_samples", [0, 1, 15, 16, 4_096, 100_003])
def test_speech_comes_back_as_it_was(num_samples: int) -> None:
    samples = np.random.default_rng(1).uniform(-1.1, 1.1, num_samples).astype(np.float32)
    again = from_flac(to_flac(samples, 24_000))
    assert again.dtype == np.float32 and to_int16_bytes(again) == to_int16_bytes(samples)


def test_silence_takes_next_to_nothing() -> None:
    assert len(to_flac(np.zeros(240_000, np.float32), 24_000)) < 10_000


def test_other_file_is_refused() -> None:
    with pytest.raises(ValueError, match="FLAC"):
        from_flac(b"RIFF and so on")
