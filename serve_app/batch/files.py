"""The audio files of a batch: there under their name only when they are whole. Knows no speaker."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from serve_app.audio.encoders import WavEncoder, encoder_for
from serve_app.audio.pcm import Samples
from serve_app.errors import StorageFailed

TEMPORARY_SUFFIX = ".partial"


async def write_audio(path: Path, parts: AsyncIterator[Samples], response_format: str, sample_rate_hz: int) -> float:
    """Encodes the parts as they come; returns seconds of audio. Raises StorageFailed, and what the parts raise."""
    encoder = encoder_for(response_format, sample_rate_hz)
    temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
    num_samples = 0
    try:
        with temporary.open("wb") as file:
            file.write(encoder.start())
            async for samples in parts:
                file.write(encoder.encode(samples))
                num_samples += len(samples)
            file.write(encoder.finish())
            if response_format == "wav":  # its length is known now
                file.seek(0)
                file.write(WavEncoder(sample_rate_hz, num_samples).start())
        temporary.replace(path)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return num_samples / sample_rate_hz


def write_text(path: Path, text: str) -> None:
    """Raises StorageFailed."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(f"cannot write {str(path)!r}: {error.strerror}; make room, or choose another place")
