"""A file's texts through a speaker, a few at once; what is there from an earlier run is left alone."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from serve_app.batch.lines import BatchOptions, Line
from serve_app.batch.speakers import Speaker, write_whole
from serve_app.errors import ServiceError


@dataclass
class BatchOutcome:
    """What became of the texts."""

    num_spoken: int = 0
    num_there: int = 0  # from an earlier run
    failures: tuple[str, ...] = ()


async def run_batch(
    lines: Iterator[Line], speaker: Speaker, options: BatchOptions, tell: Callable[[Line, str], None]
) -> BatchOutcome:
    """Speaks what is not there yet, a few at once; `tell` is given each text and what became of it."""
    outcome = BatchOutcome()
    failures: list[str] = []

    async def work() -> None:
        for line in lines:  # shared: each takes the next
            path = options.output / f"{line.id}.{options.audio_format}"
            if path.exists():
                outcome.num_there += 1
                tell(line, "there")
                continue
            try:
                write_whole(path, await speaker.speak(line, options))
            except ServiceError as error:
                failures.append(f"{line.id}: {error.message}")
                tell(line, f"failed: {error.message}")
            else:
                outcome.num_spoken += 1
                tell(line, "spoken")

    await asyncio.gather(*(work() for _ in range(options.num_parallel)))
    outcome.failures = tuple(failures)
    return outcome
