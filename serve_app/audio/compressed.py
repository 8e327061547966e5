"""MP3, Opus, AAC and FLAC as streams, by FFmpeg's libraries in this process (PyAV). Knows formats, no transport."""

from dataclasses import dataclass
from typing import Any, cast

import av
import numpy as np

from serve_app.audio.pcm import Samples, to_int16_bytes
from serve_app.audio.sink import Sink

Options = tuple[tuple[str, str], ...]  # names and values, as FFmpeg has them


@dataclass(frozen=True)
class Codec:
    """How one format is made."""

    mime_type: str
    container: str
    name: str
    bits_per_second: int | None = None  # None: lossless
    options: Options = ()
    container_options: Options = ()


# Rates at which 24 kHz speech in one channel has nothing left to gain to the ear; more effort (`compression_level`)
# is not heard either (docs/performance.md). A stream cannot go back to its beginning, so no format has its length in
# its header: MP3 is written without the header that would state one.
CODECS = {
    "mp3": Codec(
        "audio/mpeg",
        "mp3",
        "libmp3lame",
        64_000,
        options=(("compression_level", "7"),),
        container_options=(("write_xing", "0"), ("id3v2_version", "0")),
    ),
    "opus": Codec(
        "audio/ogg",
        "ogg",
        "libopus",
        32_000,
        options=(("application", "voip"), ("compression_level", "5")),
        container_options=(("page_duration", "20000"),),  # µs: a page for each packet, where FFmpeg waits a second
    ),
    "aac": Codec("audio/aac", "adts", "aac", 64_000),
    "flac": Codec("audio/flac", "flac", "flac"),
}


class CompressedEncoder:
    """One stream of one `Codec`.

    At most 0.2 s of audio is held back until more comes. What a player makes of the whole is as long as what was spoken
    (Opus, FLAC), or 0.05 to 0.1 s longer (MP3, AAC): the codec's own silence, which no stream tells it to skip.
    """

    def __init__(self, codec: Codec, sample_rate_hz: int) -> None:
        self.mime_type = codec.mime_type
        self._sample_rate_hz = sample_rate_hz
        self._num_samples = 0
        self._sink = Sink()
        options = {**dict(codec.container_options), "flush_packets": "1"}
        self._container = av.open(cast(Any, self._sink), "w", format=codec.container, options=options)
        self._stream = self._container.add_stream(
            cast(Any, codec.name), rate=sample_rate_hz, options=dict(codec.options)
        )
        self._stream.layout = "mono"
        if codec.bits_per_second is not None:
            self._stream.bit_rate = codec.bits_per_second

    def start(self) -> bytes:
        """Empty: FFmpeg writes the header before the first packet."""
        return b""

    def encode(self, samples: Samples) -> bytes:
        if not len(samples):
            return b""
        pcm = np.frombuffer(to_int16_bytes(samples), dtype="<i2")
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = self._sample_rate_hz, self._num_samples
        self._num_samples += len(samples)
        self._mux(frame)
        return self._sink.take()

    def finish(self) -> bytes:
        self._mux(None)
        self._container.close()
        return self._sink.take()

    def _mux(self, frame: "av.AudioFrame | None") -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
