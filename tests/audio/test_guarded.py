"""Decoding in a child: the same recordings, and a child that breaks, hangs or eats memory breaks nothing else."""

import os
import random
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import psutil
import pytest

from serve_app.audio.decode import decode_recording
from serve_app.audio.guarded import GuardedDecoder
from serve_app.audio.pcm import Recording
from serve_app.errors import InvalidAudio, ReferenceTooLong, RequestError, UploadTooLarge
from tests.audio.signals import FORMATS, mutated, tone, write

MAX_BYTES = 25 * 1024 * 1024
FIELD = "reference_audio"
NUM_MUTATED = 10_000


@contextmanager
def guarded(**options: float) -> Generator[GuardedDecoder]:
    decoder = GuardedDecoder(**options)  # type: ignore[arg-type]
    try:
        yield decoder
    finally:
        decoder.close()


@pytest.fixture(scope="module")
def decoder() -> Generator[GuardedDecoder]:
    with guarded() as decoder:
        yield decoder


def decode(decoder: GuardedDecoder, data: bytes, max_bytes: int = MAX_BYTES) -> Recording:
    return decoder.decode(data, max_bytes=max_bytes, field=FIELD)


@pytest.mark.parametrize("name", FORMATS)
def test_child_decodes_what_we_would(decoder: GuardedDecoder, name: str) -> None:
    data = write(tone(1.0, 24_000), 24_000, name)
    mine, theirs = decode_recording(data, max_bytes=MAX_BYTES, field=FIELD), decode(decoder, data)
    assert theirs.sample_rate_hz == mine.sample_rate_hz
    np.testing.assert_array_equal(theirs.samples, mine.samples)


@pytest.mark.parametrize(
    ("data", "max_bytes", "kind"),
    [
        (b"no audio", MAX_BYTES, InvalidAudio),
        (b"", MAX_BYTES, InvalidAudio),
        (write(tone(1.0, 8_000), 8_000), 1_000, UploadTooLarge),
        (write(np.zeros(8_000 * 601, np.float32), 8_000, "flac"), MAX_BYTES, ReferenceTooLong),
    ],
    ids=["other", "empty", "large", "long"],
)
def test_refusal_arrives_as_itself(
    decoder: GuardedDecoder, data: bytes, max_bytes: int, kind: type[RequestError]
) -> None:
    with pytest.raises(kind) as refused:
        decode(decoder, data, max_bytes)
    assert type(refused.value) is kind and refused.value.field == FIELD and refused.value.message


def test_one_child_serves_many_calls(decoder: GuardedDecoder) -> None:
    pids = set()
    for _ in range(3):
        decode(decoder, write(tone(0.2, 16_000), 16_000))
        pids.add(decoder.pid)
    assert len(pids) == 1 and None not in pids


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGSTOP])
def test_child_that_breaks_or_hangs_costs_one_call(number: signal.Signals) -> None:
    data = write(tone(0.2, 16_000), 16_000)
    with guarded(max_decode_s=1.0) as decoder:
        decode(decoder, data)
        assert decoder.pid is not None
        os.kill(decoder.pid, number)
        if number == signal.SIGSEGV:  # a child that is gone is replaced; one that goes in the middle is met below
            while psutil.Process(decoder.pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
        else:
            started_s = time.perf_counter()
            with pytest.raises(InvalidAudio, match="decoder"):
                decode(decoder, data)
            assert 0.5 < time.perf_counter() - started_s < 3.0
        assert len(decode(decoder, data).samples) == 3_200


def test_child_has_no_more_memory_than_it_is_given() -> None:
    """Ten minutes are 113 MB of samples, and twice that while they are joined."""
    samples = np.zeros((48_000 * 590, 2), np.float32)
    samples[:24_000] = 0.5
    data = write(samples, 48_000, "flac")
    with guarded(max_memory_bytes=280 << 20) as decoder:
        assert len(decode(decoder, write(tone(0.2, 16_000), 16_000)).samples) == 3_200
        with pytest.raises(InvalidAudio):
            decode(decoder, data)
        assert len(decode(decoder, write(tone(0.2, 16_000), 16_000)).samples) == 3_200


def test_child_ends_with_us() -> None:
    with guarded() as decoder:
        decode(decoder, write(tone(0.2, 16_000), 16_000))
        assert decoder.pid is not None
        child = psutil.Process(decoder.pid)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_ten_thousand_mutated_files_neither_crash_nor_hang_nor_grow(decoder: GuardedDecoder) -> None:
    rng = random.Random(7)
    whole = [write(tone(0.15, 16_000), 16_000, name) for name in FORMATS]
    decode(decoder, whole[0])
    pid, longest_s, num_decoded = decoder.pid, 0.0, 0
    assert pid is not None
    before_bytes = psutil.Process(pid).memory_info().rss
    for number in range(NUM_MUTATED):
        started_s = time.perf_counter()
        try:
            recording = decode(decoder, mutated(whole[number % len(whole)], rng))
            assert np.isfinite(recording.samples).all()
            num_decoded += 1
        except RequestError:
            pass
        longest_s = max(longest_s, time.perf_counter() - started_s)
    assert decoder.pid == pid, "the child broke"
    assert longest_s < 2.0
    assert 0.1 < num_decoded / NUM_MUTATED < 0.95  # some decode, some are refused: both ways are walked
    assert psutil.Process(pid).memory_info().rss - before_bytes < 200 << 20
