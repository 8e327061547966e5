import base64
import contextlib
import random
import struct
import time

import numpy as np
import pytest

from serve_app.audio.decode import MAX_CHANNELS, decode_recording, file_of_base64
from serve_app.audio.pcm import Recording
from serve_app.errors import InvalidAudio, InvalidBase64, ReferenceTooLong, RequestError, ServiceError, UploadTooLarge
from tests.audio.signals import FORMATS, LOSSLESS, LOSSY, mutated, tone, write

MAX_BYTES = 25 * 1024 * 1024
FIELD = "speaker_wav_b64"
FLAC_LENGTH = slice(21, 26)  # the low 36 bits: STREAMINFO's number of samples


def decode(data: bytes, max_bytes: int = MAX_BYTES) -> Recording:
    return decode_recording(data, max_bytes=max_bytes, field=FIELD)


def refusal(data: bytes, max_bytes: int = MAX_BYTES) -> ServiceError:
    with pytest.raises(RequestError) as caught:
        decode(data, max_bytes)
    assert caught.value.field == FIELD
    return caught.value


def with_flac_length(data: bytes, num_samples: int) -> bytes:
    patched = bytearray(data)
    length = int.from_bytes(patched[FLAC_LENGTH], "big") & ~((1 << 36) - 1) | num_samples
    patched[FLAC_LENGTH] = length.to_bytes(5, "big")
    return bytes(patched)


@pytest.mark.parametrize("name", LOSSLESS)
def test_decode_lossless_returns_the_samples(name: str) -> None:
    samples = tone(0.5, 22_050)
    recording = decode(write(samples, 22_050, name))
    assert recording.sample_rate_hz == 22_050
    np.testing.assert_allclose(recording.samples, samples, atol=2**-15)


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("sample_rate_hz", [16_000, 48_000])
def test_decode_lossy_returns_the_sound(name: str, sample_rate_hz: int) -> None:
    recording = decode(write(tone(2.0, sample_rate_hz), sample_rate_hz, name))
    assert recording.sample_rate_hz == sample_rate_hz
    assert recording.duration_s == pytest.approx(2.0, abs=0.05)
    spectrum = np.abs(np.fft.rfft(recording.samples))
    assert np.argmax(spectrum) / recording.duration_s == pytest.approx(220.0, abs=2.0)


def test_decode_stereo_averages_the_channels() -> None:
    left, right = tone(0.2, 16_000), tone(0.2, 16_000, 330.0)
    recording = decode(write(np.stack([left, right], axis=1), 16_000, "wav-float"))
    np.testing.assert_allclose(recording.samples, (left + right) / 2, atol=1e-7)


def test_decode_wav_stream_header_reads_to_the_end() -> None:
    data = bytearray(write(tone(0.5, 24_000), 24_000))
    data[4:8] = data[40:44] = b"\xff" * 4
    assert decode(bytes(data)).duration_s == 0.5


def test_decode_flac_of_unknown_length_reads_to_the_end() -> None:
    data = write(tone(8.0, 16_000), 16_000, "flac")
    assert decode(with_flac_length(data, 0)).duration_s == 8.0


@pytest.mark.parametrize("name", ["wav", "mp3", "vorbis", "opus"])
def test_decode_cut_off_file_gives_what_is_there(name: str) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 8 * 16_000).astype(np.float32)
    data = write(noise, 16_000, name)
    assert 2.0 < decode(data[: len(data) // 2]).duration_s < 5.0


def test_decode_cut_off_flac_is_refused() -> None:
    data = write(tone(8.0, 16_000), 16_000, "flac")
    error = refusal(data[: len(data) // 2])
    assert isinstance(error, InvalidAudio)
    assert "lost sync" in error.message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_decode_samples_not_finite_are_refused(value: float) -> None:
    samples = tone(0.5, 16_000)
    samples[3_000] = value
    assert "not finite" in refusal(write(samples, 16_000, "wav-float")).message


def test_decode_channels_whose_sum_overflows_are_refused() -> None:
    samples = np.full((100, 2), np.finfo(np.float32).max, np.float32)
    assert "not finite" in refusal(write(samples, 16_000, "wav-float")).message


def test_decode_unscaled_floats_are_refused() -> None:
    assert "full scale" in refusal(write(tone(0.5, 16_000) * 32_768, 16_000, "wav-float")).message


@pytest.mark.parametrize("level", [0.0, 5e-5, 0.5])
def test_decode_silence_is_refused(level: float) -> None:
    assert "silent" in refusal(write(np.full(16_000, level, np.float32), 16_000, "wav-float")).message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello", "not an audio file"),
        (b"\0\0\0\x20ftypM4A " + b"\0" * 64, "M4A"),
        (b"\x1aE\xdf\xa3" + b"\0" * 64, "WebM"),
        (b"FORM\0\0\0\x10AIFF", "AIFF"),
        (b"RIFF", "cannot be decoded"),
        (b"\xff\xfb\x90\0" + b"\0" * 200, "no audio frames"),
        (write(np.empty(0, np.float32), 16_000), "no samples"),
    ],
)
def test_decode_other_files_are_refused_with_advice(data: bytes, words: str) -> None:
    error = refusal(data)
    assert isinstance(error, InvalidAudio)
    assert words in error.message
    assert "WAV, FLAC, MP3 or OGG" in error.message


@pytest.mark.parametrize("sample_rate_hz", [1, 7_999, 192_001, 2**31 - 1])
def test_decode_odd_sample_rate_is_refused(sample_rate_hz: int) -> None:
    data = bytearray(write(tone(0.1, 16_000), 16_000))
    data[24:28] = struct.pack("<I", sample_rate_hz)
    assert str(sample_rate_hz) in refusal(bytes(data)).message


def test_decode_many_channels_are_refused() -> None:
    samples = np.repeat(tone(0.1, 16_000)[:, None], MAX_CHANNELS + 1, axis=1)
    assert "channels" in refusal(write(samples, 16_000)).message
    assert decode(write(samples[:, :MAX_CHANNELS], 16_000)).duration_s == pytest.approx(0.1)


def test_decode_upload_over_the_limit_is_refused_before_decoding() -> None:
    assert isinstance(refusal(b"not audio at all", max_bytes=15), UploadTooLarge)
    assert isinstance(refusal(b"not audio at all", max_bytes=16), InvalidAudio)


@pytest.mark.parametrize("num_samples", [None, 0, 16_000])
def test_decode_bomb_is_refused_whatever_its_header_says(num_samples: int | None) -> None:
    data = write(np.zeros(8_000 * 601, np.float32), 8_000, "flac")
    assert len(data) < 50_000
    if num_samples is not None:
        data = with_flac_length(data, num_samples)
    started = time.perf_counter()
    error = refusal(data)
    assert time.perf_counter() - started < 2.0
    if num_samples == 16_000:  # libsndfile stops where the header says
        assert "silent" in error.message
    else:
        assert isinstance(error, ReferenceTooLong)


def test_decode_many_channels_at_a_high_rate_lower_the_time_limit() -> None:
    quiet = np.zeros((96_000 * 76, 8), np.float32)
    assert "75 seconds" in refusal(write(quiet, 96_000, "flac")).message


@pytest.mark.parametrize("name", FORMATS)
def test_decode_mutated_files_raise_service_errors_only(name: str) -> None:
    rng = random.Random(name)
    whole = write(tone(0.3, 16_000), 16_000, name)
    for _ in range(80):
        started = time.perf_counter()
        with contextlib.suppress(ServiceError):  # anything else fails the test
            assert np.isfinite(decode(mutated(whole, rng)).samples).all()
        assert time.perf_counter() - started < 2.0


def from_base64(text: str, max_bytes: int = MAX_BYTES) -> Recording:
    return decode(file_of_base64(text, max_bytes=max_bytes, field=FIELD), max_bytes)


@pytest.mark.parametrize("prefix", ["", "data:audio/wav;base64,", " DATA:audio/wav;codecs=1;base64,"])
def test_base64_with_and_without_data_url_decodes(prefix: str) -> None:
    text = base64.b64encode(write(tone(0.5, 16_000), 16_000)).decode()
    assert from_base64(prefix + text).duration_s == 0.5


def test_base64_with_line_breaks_decodes() -> None:
    text = base64.encodebytes(write(tone(0.5, 16_000), 16_000)).decode().replace("\n", "\r\n")
    assert from_base64(text).duration_s == 0.5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "UklGR",
        "UklG*AAA",
        "UklGRg==UklGRg==",
        "_-_-",
        "ü" * 8,
        "data:audio/wav,abc",
        "data:audio/wav;base64",
    ],
)
def test_base64_malformed_is_refused(text: str) -> None:
    with pytest.raises(InvalidBase64) as caught:
        from_base64(text)
    assert caught.value.field == FIELD


def test_base64_over_the_limit_is_refused_before_decoding() -> None:
    with pytest.raises(UploadTooLarge):
        from_base64("*" * 1_000, max_bytes=300)
    with pytest.raises(UploadTooLarge):
        from_base64(" " * 10_000, max_bytes=300)
    with pytest.raises(InvalidAudio):
        from_base64(base64.b64encode(b"x" * 300).decode(), max_bytes=300)
