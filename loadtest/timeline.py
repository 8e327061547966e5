"""How much speech a listener has after so many bytes of a stream, and what a player makes of when they came."""

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from loadtest.speech import WAV_HEADER_BYTES
from loadtest.workload.request import Format

RATE_HZ = 24_000
SAMPLE_BYTES = 2
OPUS_RATE_HZ = 48_000  # of its positions, whatever the rate of the speech
OGG_HEAD_BYTES, OGG_HEAD = 27, struct.Struct("<4sBBq")
MP3_KBITS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # MPEG-2, layer III
MP3_FRAME_SAMPLES, AAC_FRAME_SAMPLES = 576, 1024
MP3_HEAD, MP3_HEAD_MASK = 0xFFF2_0400, 0xFFFE_0C00  # MPEG-2, layer III, 24 kHz
AAC_HEAD_BYTES = 7


@dataclass(frozen=True)
class Timeline:
    """`ends` are (bytes, seconds), rising: with so many bytes of the file so much of it can be played.

    `is_whole`: it is audio of its format to the last byte.
    """

    ends: Sequence[tuple[int, float]]
    is_whole: bool

    @property
    def seconds(self) -> float:
        return self.ends[-1][1] if self.ends else 0.0

    def seconds_at(self, num_bytes: int) -> float:
        place = bisect_right(self.ends, num_bytes, key=lambda end: end[0])
        return self.ends[place - 1][1] if place else 0.0


@dataclass(frozen=True)
class Hearing:
    """When audio came, to a listener. `stalled_s` is the silence of all `num_underruns` together."""

    first_s: float | None
    largest_gap_s: float = 0.0
    num_underruns: int = 0
    stalled_s: float = 0.0


def timeline(format_: Format, body: bytes) -> Timeline:
    """Of a file of `format_`, as far as it can be read."""
    if format_ in (Format.PCM, Format.WAV):
        return _of_samples(body, 0 if format_ is Format.PCM else WAV_HEADER_BYTES)
    frames = {Format.MP3: _mp3_frames, Format.AAC: _aac_frames, Format.OPUS: _ogg_pages}[format_]
    ends = list(frames(body))
    return Timeline(ends, bool(ends) and ends[-1][0] == len(body))


def hearing(line: Timeline, reads: Sequence[tuple[float, int]]) -> Hearing:
    """`reads` are (when, bytes of the file by then). The player starts at the first audio and holds nothing back."""
    had = [(at_s, line.seconds_at(num_bytes)) for at_s, num_bytes in reads]
    arrivals = [(at_s, has_s) for (_, before_s), (at_s, has_s) in pairwise([(0.0, 0.0), *had]) if has_s > before_s]
    if not arrivals:
        return Hearing(None)
    runs_out_s = sum(arrivals[0])
    num_underruns, stalled_s = 0, 0.0
    for (_, before_s), (at_s, has_s) in pairwise(arrivals):
        if at_s > runs_out_s:
            num_underruns += 1
            stalled_s += at_s - runs_out_s
        runs_out_s = max(at_s, runs_out_s) + has_s - before_s
    gap_s = max((later - earlier for (earlier, _), (later, _) in pairwise(arrivals)), default=0.0)
    return Hearing(arrivals[0][0], gap_s, num_underruns, stalled_s)


def _of_samples(body: bytes, head_bytes: int) -> Timeline:
    """A sample a step would be a long list: a hundredth of a second is."""
    is_wav = not head_bytes or (body[:4] == b"RIFF" and body[8:12] == b"WAVE")
    num_samples = max(0, len(body) - head_bytes) // SAMPLE_BYTES if is_wav else 0
    steps = [*range(RATE_HZ // 100, num_samples, RATE_HZ // 100), *([num_samples] if num_samples else [])]
    ends = [(head_bytes + SAMPLE_BYTES * step, step / RATE_HZ) for step in steps]
    return Timeline(ends, bool(ends) and ends[-1][0] == len(body))


def _mp3_frames(body: bytes) -> Iterator[tuple[int, float]]:
    place, number = 0, 0
    while place + 4 <= len(body):
        head = int.from_bytes(body[place : place + 4])
        kbits, is_padded = (head >> 12) & 15, (head >> 9) & 1
        if head & MP3_HEAD_MASK != MP3_HEAD or not 0 < kbits < len(MP3_KBITS):
            return
        place += MP3_FRAME_SAMPLES // 8 * 1000 * MP3_KBITS[kbits] // RATE_HZ + is_padded
        number += 1
        if place <= len(body):
            yield place, number * MP3_FRAME_SAMPLES / RATE_HZ


def _aac_frames(body: bytes) -> Iterator[tuple[int, float]]:
    place, number = 0, 0
    while place + AAC_HEAD_BYTES <= len(body):
        if int.from_bytes(body[place : place + 2]) & 0xFFF6 != 0xFFF0:
            return
        num_bytes = (int.from_bytes(body[place + 3 : place + 6]) >> 5) & 0x1FFF
        if num_bytes < AAC_HEAD_BYTES:
            return
        place += num_bytes
        number += 1
        if place <= len(body):
            yield place, number * AAC_FRAME_SAMPLES / RATE_HZ


def _ogg_pages(body: bytes) -> Iterator[tuple[int, float]]:
    place = 0
    while place + OGG_HEAD_BYTES <= len(body):
        mark, _, _, position = OGG_HEAD.unpack_from(body, place)
        if mark != b"OggS":
            return
        num_segments = body[place + OGG_HEAD_BYTES - 1]
        sizes = body[place + OGG_HEAD_BYTES : place + OGG_HEAD_BYTES + num_segments]
        place += OGG_HEAD_BYTES + num_segments + sum(sizes)
        if len(sizes) == num_segments and place <= len(body):
            yield place, max(0, position) / OPUS_RATE_HZ
