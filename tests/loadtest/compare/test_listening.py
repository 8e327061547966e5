"""WAV files as servers write them."""

import io

import numpy as np
import pytest
import soundfile

from loadtest.compare.listening import read_wav

SAMPLES = (np.sin(np.arange(2_400) / 20.0) * 0.5).astype(np.float32)


def wav(rate_hz: int = 22_050, num_channels: int = 1, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.stack([SAMPLES] * num_channels, axis=1), rate_hz, format="WAV", subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100])
def test_samples_and_rate_are_read(rate_hz: int, num_channels: int) -> None:
    samples, rate, head_bytes = read_wav(wav(rate_hz, num_channels))
    assert rate == rate_hz and head_bytes == 44
    assert np.abs(samples - SAMPLES).max() < 1e-4


def test_stream_of_unknown_length_is_read_to_its_end() -> None:
    file = bytearray(wav())
    file[40:44] = b"\xff" * 4
    assert len(read_wav(bytes(file))[0]) == len(SAMPLES)


def test_what_other_chunks_say_is_skipped() -> None:
    file = wav()
    listed = file[:36] + b"LIST" + (3).to_bytes(4, "little") + b"abc\0" + file[36:]
    samples, _, head_bytes = read_wav(listed)
    assert len(samples) == len(SAMPLES) and head_bytes == 56


@pytest.mark.parametrize(
    "file", [b"", b"RIFF", b"ID3" + bytes(100), wav()[:44], wav(subtype="FLOAT"), wav(subtype="PCM_24")]
)
def test_everything_else_is_refused(file: bytes) -> None:
    with pytest.raises(ValueError, match="no WAV"):
        read_wav(file)
