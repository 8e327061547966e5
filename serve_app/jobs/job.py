"""The nouns of long work: a job, the parts it is spoken in, and how far it is. Knows no files and no engine."""

import hashlib
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from serve_app.speech.request import Guards, SamplingOptions, SentenceTiming, Turn
from serve_app.text.pauses import blocks

PART_CHARS = 1_000  # a part ends with the first sentence beyond it: what a lost process has to speak again
_ID = re.compile(r"[0-9a-f]{26}")


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return self not in (Status.QUEUED, Status.RUNNING)


@dataclass(frozen=True)
class Item:
    """One text of a job, and its result's name."""

    id: str
    turn: Turn


@dataclass(frozen=True)
class Part:
    """A run of sentences of one item: `num_chars` of its text from `start` on."""

    item_index: int
    start: int
    num_chars: int


@dataclass(frozen=True)
class JobHead:
    """What is known of a job without its texts. `owner`: the name of the API key that sent it, None without keys."""

    id: str
    owner: str | None
    created_s: float  # Unix time
    response_format: str
    is_list: bool
    item_ids: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def num_chars(self) -> int:
        return sum(part.num_chars for part in self.parts)


@dataclass(frozen=True)
class JobWork:
    """What its parts are spoken from."""

    items: tuple[Item, ...]
    seed: int
    sampling: SamplingOptions
    guards: Guards
    model: str | None = None  # None: the default one


@dataclass(frozen=True)
class SpokenPart:
    """What is known of a part that was spoken; its samples are kept beside it."""

    duration_s: float
    sentences: tuple[SentenceTiming, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Progress:
    """How far a job is. `failure` says of which item, and why."""

    status: Status
    num_parts_done: int
    num_chars_done: int
    audio_s: float
    left_s: float | None  # an estimate; None before the first part, and where it is over
    failure: str = ""
    warnings: tuple[str, ...] = ()


def new_id() -> str:
    """Later ones sort later; nobody guesses one."""
    return f"{int(time.time()):010x}{secrets.token_hex(8)}"


def is_id(text: str) -> bool:
    """Whether it may be a job's id, and so a folder's name."""
    return _ID.fullmatch(text) is not None


def cut(items: tuple[Item, ...]) -> Iterator[Part]:
    """The parts of all items, in order."""
    for index, item in enumerate(items):
        start = 0
        for block in blocks(item.turn.text, item.turn.language, PART_CHARS):
            if any(char.isalnum() for char in block):
                yield Part(index, start, len(block))
            start += len(block)


def part_seed(seed: int, index: int) -> int:
    """Of a part, [0, 2⁶³): the same whichever process speaks it."""
    digest = hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
