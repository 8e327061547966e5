"""Recordings of requests: remembered, and never more at once than there are decoders, whoever leaves."""

import asyncio
import threading

import numpy as np
import pytest

from serve_app.api import references
from serve_app.api.references import MAX_AT_ONCE, ReferenceDecoder
from serve_app.audio.guarded import GuardedDecoder
from serve_app.audio.pcm import Recording
from serve_app.errors import InvalidAudio, Overloaded

RECORDING = Recording(np.ones(8, np.float32), 16_000)


class Decoding:
    """Stands in for the child: counts calls, and holds them until told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_end = threading.Event()
        self.num_calls = self.num_open = self.most_open = 0
        self._lock = threading.Lock()

        def decode(_: GuardedDecoder, data: bytes, *, max_bytes: int, field: str) -> Recording:
            with self._lock:
                self.num_calls += 1
                self.num_open += 1
                self.most_open = max(self.most_open, self.num_open)
            assert self.may_end.wait(10.0)
            with self._lock:
                self.num_open -= 1
            if data == b"bad":
                raise InvalidAudio("no audio", field=field)
            return RECORDING

        monkeypatch.setattr(GuardedDecoder, "decode", decode)


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> Decoding:
    return Decoding(monkeypatch)


def test_same_recording_is_decoded_once(decoding: Decoding) -> None:
    async def ask() -> None:
        decoder = ReferenceDecoder(1_000)
        decoding.may_end.set()
        for _ in range(3):
            assert (await decoder.decode(b"one", "field")).sample_rate_hz == 16_000
        with pytest.raises(InvalidAudio):
            await decoder.decode(b"bad", "field")

    asyncio.run(ask())
    assert decoding.num_calls == 2


def test_who_leaves_takes_no_decoder_along(decoding: Decoding) -> None:
    """Its thread goes on; nobody else is sent to the decoder that it holds."""

    async def ask() -> None:
        decoder = ReferenceDecoder(1_000)
        leaving = [asyncio.create_task(decoder.decode(b"%d" % number, "field")) for number in range(MAX_AT_ONCE)]
        await asyncio.sleep(0.1)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        later = asyncio.create_task(decoder.decode(b"later", "field"))
        await asyncio.sleep(0.1)
        assert decoding.num_calls == MAX_AT_ONCE and not later.done()
        decoding.may_end.set()
        assert (await later).sample_rate_hz == 16_000

    asyncio.run(ask())
    assert decoding.most_open == MAX_AT_ONCE


def test_too_many_recordings_are_refused_at_once(decoding: Decoding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "MAX_WAITING", 3)

    async def ask() -> None:
        decoder = ReferenceDecoder(1_000)
        tasks = [asyncio.create_task(decoder.decode(b"%d" % number, "field")) for number in range(MAX_AT_ONCE + 3)]
        await asyncio.sleep(0.2)
        with pytest.raises(Overloaded):
            await decoder.decode(b"one more", "field")
        decoding.may_end.set()
        await asyncio.gather(*tasks)

    asyncio.run(ask())
