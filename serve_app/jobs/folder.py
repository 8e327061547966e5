"""One job as a folder: what was asked, how far it is, and its spoken parts. Knows no other job and no lease.

    job.json     what does not change (`Head`)          items.json   its texts' voices, languages, parts (`Item`)
    texts.json   the words of each part                 state.json   how far it is (`State`), replaced as a whole
    cancelled    there, if a client said so             references/  recordings to clone, int16 in safetensors
    parts/       a file for each spoken part            lease-N      who works on it

A part's file is safetensors with its audio as FLAC and its sentences' times. Files appear whole, so a part is there or
has to be spoken.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from serve_app.audio.lossless import from_flac, to_flac
from serve_app.audio.pcm import Recording
from serve_app.errors import JobDamaged
from serve_app.jobs.files import storage_errors, write_whole
from serve_app.jobs.job import Head, Item, Job, Part, PartFacts, State, Status

_HEAD, _STATE = TypeAdapter(Head), TypeAdapter(State)
_ITEMS, _TEXTS = TypeAdapter(tuple[Item, ...]), TypeAdapter(tuple[str, ...])
_FACTS = TypeAdapter(PartFacts)
_FULL_SCALE = 32_767.0
_PART = re.compile(r"(\d{6,9})\.safetensors")
_T = TypeVar("_T")


class JobFolder:
    """Its methods block for as long as the disk does, and raise JobNotFound, JobDamaged,
    StorageFailed and StorageFull."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # -- what was asked ------------------------------------------------------------------------------------------------

    def write_new(
        self, head: Head, items: Sequence[Item], texts: Sequence[str], references: Sequence[Recording]
    ) -> None:
        """Everything of a job that begins; the folder is there and empty."""
        with storage_errors(self.path):
            (self.path / "parts").mkdir()
            (self.path / "references").mkdir()
            for number, reference in enumerate(references):
                write_whole(self._reference(number), _to_file(reference))
            write_whole(self.path / "texts.json", _TEXTS.dump_json(tuple(texts)))
            write_whole(self.path / "items.json", _ITEMS.dump_json(tuple(items)))
            write_whole(self.path / "state.json", _STATE.dump_json(State()))
            write_whole(self.path / "job.json", _HEAD.dump_json(head))

    def head(self) -> Head:
        return self._read("job.json", _HEAD)

    def items(self) -> tuple[Item, ...]:
        return self._read("items.json", _ITEMS)

    def texts(self) -> tuple[str, ...]:
        return self._read("texts.json", _TEXTS)

    def reference(self, number: int) -> Recording:
        with storage_errors(self.path):
            data = self._reference(number).read_bytes()
        try:
            found = load(data)
            samples = found["samples"].astype(np.float32) / np.float32(_FULL_SCALE)
            return Recording(samples, int(found["sample_rate_hz"][0]))
        except (SafetensorError, KeyError) as error:
            raise _damaged(f"reference {number}") from error

    # -- how far it is -------------------------------------------------------------------------------------------------

    def job(self) -> Job:
        """As a client sees it: cancelled from the moment somebody said so."""
        state = self._read("state.json", _STATE)
        if not state.status.is_over and self.is_cancelled():
            state = replace(state, status=Status.CANCELLED, waiting_for=None)
        return Job(self.head(), state)

    def state(self) -> State:
        """As whoever works on it wrote it."""
        return self._read("state.json", _STATE)

    def write_state(self, state: State) -> None:
        with storage_errors(self.path):
            write_whole(self.path / "state.json", _STATE.dump_json(state), is_kept=state.status.is_over)

    def cancel(self) -> None:
        with storage_errors(self.path):
            (self.path / "cancelled").touch()

    def is_cancelled(self) -> bool:
        with storage_errors(self.path):
            return (self.path / "cancelled").exists()

    # -- what was spoken -----------------------------------------------------------------------------------------------

    def parts_done(self) -> set[int]:
        with storage_errors(self.path):
            names = [_PART.fullmatch(path.name) for path in (self.path / "parts").iterdir()]
        return {int(match[1]) for match in names if match}

    def write_part(self, index: int, part: Part, sample_rate_hz: int) -> None:
        flac = np.frombuffer(to_flac(part.samples, sample_rate_hz), dtype=np.uint8)
        data = save({"flac": flac}, {"facts": _FACTS.dump_json(part.facts).decode()})
        with storage_errors(self.path):
            write_whole(self._part(index), data)

    def part(self, index: int) -> Part:
        facts = self.part_facts(index)
        with storage_errors(self.path):
            data = self._part(index).read_bytes()
        try:
            samples = from_flac(load(data)["flac"].tobytes())
        except (SafetensorError, KeyError, ValueError) as error:
            raise _damaged(f"part {index}") from error
        if len(samples) != facts.num_samples:
            raise _damaged(f"part {index}")
        return Part(samples, facts)

    def part_facts(self, index: int) -> PartFacts:
        """Without reading its samples."""
        with storage_errors(self.path):
            self._part(index).stat()
            try:
                with safe_open(self._part(index), "numpy") as file:
                    metadata: dict[str, str] = file.metadata() or {}
                return _FACTS.validate_json(metadata["facts"])
            except (SafetensorError, KeyError, ValidationError) as error:
                raise _damaged(f"part {index}") from error

    def _part(self, index: int) -> Path:
        return self.path / "parts" / f"{index:06}.safetensors"

    def _reference(self, number: int) -> Path:
        return self.path / "references" / f"{number}.safetensors"

    def _read(self, name: str, adapter: TypeAdapter[_T]) -> _T:
        with storage_errors(self.path):
            data = (self.path / name).read_bytes()
        try:
            return adapter.validate_json(data)
        except ValidationError as error:
            raise _damaged(name) from error


def _to_file(reference: Recording) -> bytes:
    samples = np.round(np.clip(reference.samples, -1.0, 1.0) * _FULL_SCALE).astype(np.int16)
    arrays: dict[str, Any] = {"samples": samples, "sample_rate_hz": np.array([reference.sample_rate_hz], np.int32)}
    return save(arrays)


def _damaged(what: str) -> JobDamaged:
    return JobDamaged(f"This job's files are damaged ({what}); delete it and send it again.")
