"""What a job that is done gives: audio of an item or of all, captions, a ZIP; block by block, as it is sent."""

import io
import zipfile
from collections.abc import Iterator

from serve_app.audio.encoders import Encoder, encoder_for
from serve_app.jobs.job import JobHead
from serve_app.jobs.store import JobStore
from serve_app.text.captions import Cue


def audio(store: JobStore, head: JobHead, item_index: int | None = None) -> Iterator[bytes]:
    """The encoded speech of one item, or of all one after the other; blocks on the disk and the encoder."""
    encoder = encoder_for(head.response_format)
    yield from _encoded(store, head, item_index, encoder)


def cues(store: JobStore, head: JobHead, item_index: int | None = None) -> list[Cue]:
    """When each sentence of an item, or of all, is heard."""
    found: list[Cue] = []
    start_s = 0.0
    for index in _parts(head, item_index):
        spoken = store.spoken(head.id, index)
        assert spoken is not None, "the job is done"
        found += [(each.text, start_s + each.start_s, start_s + each.end_s) for each in spoken.sentences]
        start_s += spoken.duration_s
    return found


def archive(store: JobStore, head: JobHead) -> Iterator[bytes]:
    """A ZIP with a file for each item, `ID.FORMAT`. Audio does not shrink, so nothing is compressed again."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as whole:
        for item_index, item_id in enumerate(head.item_ids):
            with whole.open(f"{item_id}.{head.response_format}", "w", force_zip64=True) as file:
                for block in _encoded(store, head, item_index, encoder_for(head.response_format)):
                    file.write(block)
                    yield sink.taken()
    yield sink.taken()


def _encoded(store: JobStore, head: JobHead, item_index: int | None, encoder: Encoder) -> Iterator[bytes]:
    yield encoder.start()
    for index in _parts(head, item_index):
        yield encoder.encode(store.samples(head.id, index))
    yield encoder.finish()


def _parts(head: JobHead, item_index: int | None) -> list[int]:
    return [index for index, part in enumerate(head.parts) if item_index in (None, part.item_index)]


class _Sink(io.RawIOBase):
    """Where a ZIP is written that is sent at the same time: it cannot go back."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        self._blocks.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        block = b"".join(self._blocks)
        self._blocks.clear()
        return block
