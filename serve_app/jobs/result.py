"""What became of a job, made from its parts while it is sent: audio in any format, captions, a ZIP of all its items.

Everything here blocks and gives blocks of bytes; a part at a time is in memory.
"""

import zipfile
from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime
from typing import IO, cast

from serve_app.audio.encoders import Encoder, WavEncoder, encoder_for
from serve_app.audio.sink import Sink
from serve_app.errors import JobNotDone, JobNotFound
from serve_app.jobs.folder import JobFolder
from serve_app.jobs.job import Head, Item
from serve_app.text.captions import Cue

SLICE_SAMPLES = 10 * 24_000  # encoded at once: so long is nobody else of the process kept waiting


def item_named(items: Sequence[Item], item_id: str) -> Item:
    """Raises JobNotFound."""
    for item in items:
        if item.id == item_id:
            return item
    raise JobNotFound(f"This job has no item {item_id[:80]!r}.", field="item")


def check_spoken(folder: JobFolder, item: Item) -> None:
    """Raises JobNotDone."""
    if not folder.parts_done().issuperset(item.parts):
        raise JobNotDone("This is not spoken yet; ask GET /v1/jobs/{id} how far it is.", field="item")


def encoder_of(folder: JobFolder, head: Head, item: Item, response_format: str) -> Encoder:
    """For the whole item. A WAV tells its length, since it is known."""
    if response_format == "wav":
        num_samples = sum(folder.part_facts(index).num_samples for index in item.parts)
        return WavEncoder(head.sample_rate_hz, num_samples)
    return encoder_for(response_format, head.sample_rate_hz)


def audio_of(folder: JobFolder, item: Item, encoder: Encoder) -> Generator[bytes]:
    """One file. Raises JobNotFound, JobDamaged and StorageFailed."""
    block = encoder.start()
    for index in item.parts:
        samples = folder.part(index).samples
        for start in range(0, len(samples), SLICE_SAMPLES):
            if block := block + encoder.encode(samples[start : start + SLICE_SAMPLES]):
                yield block
            block = b""
    if block := block + encoder.finish():
        yield block


def cues_of(folder: JobFolder, head: Head, item: Item) -> list[Cue]:
    """When each sentence of the item is heard."""
    cues: list[Cue] = []
    num_samples = 0
    for index in item.parts:
        facts = folder.part_facts(index)
        cues += facts.cues(num_samples / head.sample_rate_hz)
        num_samples += facts.num_samples
    return cues


def zip_of(folder: JobFolder, head: Head, items: Sequence[Item], response_format: str) -> Iterator[bytes]:
    """A ZIP of all items, each a file by its id, stored as it is: audio does not get smaller."""
    made_at = datetime.fromtimestamp(head.created_at, UTC).timetuple()[:6]
    sink = Sink()
    with zipfile.ZipFile(cast(IO[bytes], sink), "w", zipfile.ZIP_STORED) as archive:
        for item in items:
            entry = zipfile.ZipInfo(f"{item.id}.{response_format}", made_at)
            with archive.open(entry, "w", force_zip64=True) as file:
                for block in audio_of(folder, item, encoder_of(folder, head, item, response_format)):
                    file.write(block)
                    yield sink.take()
            yield sink.take()
    yield sink.take()
