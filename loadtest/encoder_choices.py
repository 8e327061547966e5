"""What an encoder's effort buys: its time, its bytes and its sound, on real speech as it streams."""

import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import av
import numpy as np
import soxr

from loadtest.recordings import reading_at
from loadtest.sleeping import CHUNK_S
from loadtest.verdict import table
from serve_app.audio.compressed import CODECS, Codec, CompressedEncoder
from serve_app.audio.pcm import Samples
from serve_app.model.config import SAMPLE_RATE_HZ
from serve_app.training.hearing import SoundEar

NUM_ROUNDS = 3
EFFORT = "compression_level"  # FFmpeg's: Opus's complexity, 10 is the most; LAME's quality, 0 is the best
EFFORTS = {"opus": (10, 8, 5, 3, 0), "mp3": (2, 5, 7, 9)}
HEAD = ("", "effort", "CPU ms per second of audio", "kbit/s", "DNSMOS, of 5", "spectral distance, dB", "")


def choice_lines() -> Iterator[str]:
    """Raises `StartupError` without recordings, and ImportError without the packages of the group `ears`."""
    spoken, ear = reading_at(SAMPLE_RATE_HZ), SoundEar()
    pcm_kbits = 16 * SAMPLE_RATE_HZ / 1e3
    rows = [["as spoken", "", "", f"{pcm_kbits:.0f}", f"{ear.mos(spoken, SAMPLE_RATE_HZ):.3f}", "", ""]]
    rows += [_row(name, effort, spoken, ear) for name, efforts in EFFORTS.items() for effort in efforts]
    yield from table(HEAD, rows)


def _row(name: str, effort: int, spoken: Samples, ear: SoundEar) -> list[str]:
    codec = with_effort(CODECS[name], effort)
    file, cpu_s = _encoded(codec, spoken)
    heard, duration_s = _decoded(file), len(spoken) / SAMPLE_RATE_HZ
    return [
        name,
        str(effort),
        f"{1e3 * cpu_s / duration_s:.1f}",
        f"{8 * len(file) / duration_s / 1e3:.1f}",
        f"{ear.mos(heard, SAMPLE_RATE_HZ):.3f}",
        f"{spectral_distance_db(spoken, heard):.2f}",
        "chosen" if codec == CODECS[name] else "",
    ]


def with_effort(codec: Codec, effort: int) -> Codec:
    others = tuple(each for each in codec.options if each[0] != EFFORT)
    return replace(codec, options=(*others, (EFFORT, str(effort))))


def _encoded(codec: Codec, spoken: Samples) -> tuple[bytes, float]:
    """The file, and the least CPU time of several rounds."""
    num_samples = round(CHUNK_S * SAMPLE_RATE_HZ)
    chunks = [spoken[start : start + num_samples] for start in range(0, len(spoken), num_samples)]
    rounds = [_encode(codec, chunks) for _ in range(NUM_ROUNDS)]
    return rounds[0][0], min(cpu_s for _, cpu_s in rounds)


def _encode(codec: Codec, chunks: Sequence[Samples]) -> tuple[bytes, float]:
    started_s = time.process_time()
    encoder = CompressedEncoder(codec, SAMPLE_RATE_HZ)
    file = b"".join([encoder.start(), *map(encoder.encode, chunks), encoder.finish()])
    return file, time.process_time() - started_s


def _decoded(file: bytes) -> Samples:
    """At the model's rate."""
    with av.open(io.BytesIO(file), "r") as container:
        frames = list(container.decode(audio=0))
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.float32)
    heard: Samples = soxr.resample(samples, frames[0].sample_rate, SAMPLE_RATE_HZ).astype(np.float32)
    return heard


def spectral_distance_db(spoken: Samples, heard: Samples) -> float:
    """Root mean square of what their power spectra differ by, over frames of 21 ms that are not silent and up to 8 kHz.

    `heard` may come later by up to a tenth of a second, and is moved back.
    """
    late = _late_by(spoken, heard)
    num = min(len(spoken), len(heard) - late)
    one, other = _spectra(spoken[:num]), _spectra(heard[late : late + num])
    loud = one.max(axis=1) > one.max() - 50.0
    floor_db = one[loud].max(axis=1, keepdims=True) - 60.0
    difference = np.maximum(one[loud], floor_db) - np.maximum(other[loud], floor_db)
    return float(np.sqrt(np.mean(difference**2)))


def _late_by(spoken: Samples, heard: Samples) -> int:
    num, most = 2 * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ // 10
    return int(np.argmax(np.correlate(heard[: num + most], spoken[:num], "valid")))


def _spectra(samples: Samples) -> Samples:
    """[num_frames, num_bins], in dB."""
    size, hop = 512, 256
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop] * np.hanning(size)
    num_bins = size * 8_000 // SAMPLE_RATE_HZ
    power = np.abs(np.fft.rfft(frames)[:, :num_bins]) ** 2
    spectra: Samples = (10.0 * np.log10(power + 1e-12)).astype(np.float32)
    return spectra
