import io
import struct

import av
import numpy as np
import psutil
import pytest
import soundfile
import soxr

from serve_app.audio.encoders import encode_wav, encode_whole, encoder_for
from serve_app.audio.pcm import Samples
from serve_app.errors import RequestError
from tests.audio.signals import sweep, tone


def streamed(format_name: str, chunks: list[Samples]) -> bytes:
    encoder = encoder_for(format_name)
    return b"".join([encoder.start(), *map(encoder.encode, chunks), encoder.finish()])


def test_wav_whole_file_is_read_back() -> None:
    samples = tone(0.5, 24_000)
    data = encode_wav(samples, 24_000)
    info = soundfile.info(io.BytesIO(data))
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (24_000, 1, "PCM_16", len(samples))
    np.testing.assert_allclose(soundfile.read(io.BytesIO(data))[0], samples, atol=2**-15)
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    assert struct.unpack("<I", data[40:44])[0] == len(data) - 44


@pytest.mark.parametrize("format_name", ["wav", "mp3", "opus", "aac", "flac", "pcm"])
def test_whole_file_is_that_of_a_stream_but_for_a_wavs_sizes(format_name: str) -> None:
    samples = tone(0.5, 24_000)
    whole, stream = encode_whole(samples, encoder_for(format_name)), streamed(format_name, [samples])
    if format_name == "wav":
        assert whole == encode_wav(samples)
    elif format_name == "opus":  # an Ogg stream has a random number
        assert len(whole) == len(stream)
    else:
        assert whole == stream


def test_wav_of_no_samples_is_a_valid_file() -> None:
    assert soundfile.info(io.BytesIO(encode_wav(np.empty(0, np.float32), 24_000))).frames == 0


def test_wav_stream_is_read_to_its_end() -> None:
    samples = tone(0.5, 24_000)
    data = streamed("wav", [samples[:1], samples[1:1_000], samples[1_000:1_000], samples[1_000:]])
    assert data[4:8] == data[40:44] == b"\xff\xff\xff\xff"
    decoded, rate_hz = soundfile.read(io.BytesIO(data))
    assert rate_hz == 24_000
    np.testing.assert_allclose(decoded, samples, atol=2**-15)


def test_pcm_stream_equals_the_data_of_the_whole_file() -> None:
    samples = tone(0.1, 24_000)
    assert streamed("pcm", [samples[:100], samples[100:]]) == encode_wav(samples, 24_000)[44:]


def test_pcm_over_full_scale_is_clipped() -> None:
    data = streamed("pcm", [np.array([-2.0, -1.0, 0.0, 1.0, 2.0], np.float32)])
    assert struct.unpack("<5h", data) == (-32767, -32767, 0, 32767, 32767)


def decoded(data: bytes) -> tuple[Samples, int]:
    """What FFmpeg's decoder makes of a file [n], and its rate in Hz."""
    with av.open(io.BytesIO(data)) as container:
        frames = list(container.decode(audio=0))
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    is_integer = np.issubdtype(samples.dtype, np.integer)
    return samples / 2**15 if is_integer else samples, frames[0].sample_rate


def shift_and_likeness(heard: Samples, spoken: Samples) -> tuple[int, float]:
    """By how many samples `heard` comes later, and what then is its correlation with `spoken`."""
    shift = int(np.argmax(np.correlate(heard, spoken, "valid")))
    return shift, float(np.corrcoef(heard[shift : shift + len(spoken)], spoken)[0, 1])


# Format → samples at 24 kHz by which a decoder's audio may be longer, and the least correlation with what was spoken.
COMPRESSED = {"mp3": (4 * 576, 0.999), "opus": (0, 0.95), "aac": (3 * 1_024, 0.999), "flac": (0, 0.999_999)}


@pytest.mark.parametrize("format_name", COMPRESSED)
def test_compressed_stream_is_heard_whole(format_name: str) -> None:
    spoken = sweep(2.3)
    max_longer, least_likeness = COMPRESSED[format_name]
    heard, rate_hz = decoded(streamed(format_name, np.array_split(spoken, [1_000, 1_000, 13_000, 40_001])))
    if rate_hz != 24_000:
        heard = soxr.resample(heard, rate_hz, 24_000)
    assert 0 <= len(heard) - len(spoken) <= max_longer
    shift, likeness = shift_and_likeness(heard, spoken)
    assert likeness > least_likeness
    assert shift <= 1_105 + 24  # LAME's delay is the longest


@pytest.mark.parametrize("format_name", COMPRESSED)
def test_compressed_stream_comes_as_it_is_spoken(format_name: str) -> None:
    """The bytes of all but the last 0.1 s are there before the stream ends; what came so far can be heard."""
    encoder = encoder_for(format_name)
    spoken = sweep(3.0)
    blocks = [encoder.start(), *(encoder.encode(chunk) for chunk in np.array_split(spoken, 30))]
    heard, rate_hz = decoded(b"".join(blocks))
    assert len(heard) / rate_hz > 2.85
    assert all(blocks[2:])


@pytest.mark.parametrize("format_name", COMPRESSED)
def test_how_a_stream_is_cut_changes_no_byte(format_name: str) -> None:
    """Of the codec; a container may have pages of other sizes."""
    spoken = sweep(1.0)
    whole, pieces = streamed(format_name, [spoken]), streamed(format_name, np.array_split(spoken, 17))
    np.testing.assert_array_equal(decoded(whole)[0], decoded(pieces)[0])


@pytest.mark.parametrize("format_name", COMPRESSED)
def test_compressed_stream_of_no_samples_ends(format_name: str) -> None:
    assert isinstance(streamed(format_name, []), bytes)


def test_streams_left_in_the_middle_leave_no_memory() -> None:
    def leave() -> None:
        encoder = encoder_for("mp3")
        encoder.encode(sweep(0.5))

    for _ in range(20):
        leave()
    before = psutil.Process().memory_info().rss
    for _ in range(200):
        leave()
    assert psutil.Process().memory_info().rss - before < 20 * 2**20


MIME_TYPES = [
    ("wav", "audio/wav"),
    ("pcm", "audio/pcm"),
    ("mp3", "audio/mpeg"),
    ("opus", "audio/ogg"),
    ("aac", "audio/aac"),
    ("flac", "audio/flac"),
]


@pytest.mark.parametrize(("format_name", "mime_type"), MIME_TYPES)
def test_encoder_names_its_mime_type(format_name: str, mime_type: str) -> None:
    assert encoder_for(format_name).mime_type == mime_type


def test_encoder_for_unknown_format_names_those_known() -> None:
    with pytest.raises(RequestError, match="mp3, opus, aac, flac, wav, pcm") as caught:
        encoder_for("mp5")
    assert caught.value.field == "response_format"
