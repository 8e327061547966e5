import io
import struct

import numpy as np
import pytest
import soundfile

from serve_app.audio.encoders import encode_wav, encoder_for
from serve_app.audio.pcm import Samples
from serve_app.errors import RequestError
from tests.audio.signals import tone


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


@pytest.mark.parametrize(("format_name", "mime_type"), [("wav", "audio/wav"), ("pcm", "audio/pcm")])
def test_encoder_names_its_mime_type(format_name: str, mime_type: str) -> None:
    assert encoder_for(format_name).mime_type == mime_type


def test_encoder_for_unknown_format_names_those_known() -> None:
    with pytest.raises(RequestError, match="wav, pcm") as caught:
        encoder_for("mp5")
    assert caught.value.field == "response_format"
