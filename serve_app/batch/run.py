"""A batch from beginning to end: several texts at once, in bounded memory, what is there already left alone."""

import asyncio
import hashlib
import json
import logging
import shutil
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from serve_app.audio.pcm import Samples
from serve_app.batch.files import write_audio, write_text
from serve_app.batch.progress import Progress
from serve_app.batch.speakers import SAMPLE_RATE_HZ, Asked, Speaker
from serve_app.batch.texts import BadLine, BatchText
from serve_app.errors import RequestError, ServiceError, StorageFailed, StorageFull, Unauthorized
from serve_app.jobs.folder import JobFolder
from serve_app.jobs.job import PART_CHARS, part_seed
from serve_app.text.captions import Cue, srt
from serve_app.text.parts import cut_parts

logger = logging.getLogger(__name__)

ERRORS_FILE = "errors.jsonl"
_T = TypeVar("_T")
_FOR_ALL = (StorageFailed, StorageFull, Unauthorized)  # no other text would fare better


@dataclass(frozen=True)
class BatchOptions:
    """What texts that say nothing else are spoken like, and where to."""

    directory: Path
    response_format: str = "mp3"
    voice: str = "default"
    language: str = "en"
    speed: float = 1.0
    seed: int = 1
    num_parallel: int = 4
    is_overwriting: bool = False


@dataclass
class Outcome:
    """What came of the texts."""

    num_spoken: int = 0
    num_skipped: int = 0
    num_failed: int = 0
    audio_s: float = 0.0

    def __str__(self) -> str:
        minutes = f"{self.audio_s / 60:.1f} minutes of speech"
        return f"{self.num_spoken} spoken ({minutes}), {self.num_skipped} were there, {self.num_failed} failed"


def make_directory(directory: Path) -> None:
    """Raises RequestError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot make the directory {str(directory)!r}: {error.strerror}; choose another place"
        raise RequestError(message, field="out") from error


class Batch:
    """One run over a list of texts. Its failures are lines of `errors.jsonl`, written anew each time."""

    def __init__(self, speaker: Speaker, options: BatchOptions, progress: Progress) -> None:
        self._speaker, self._options, self._progress = speaker, options, progress
        self._outcome = Outcome()

    async def run(self, texts: Iterable[BatchText | BadLine]) -> Outcome:
        """Raises a ServiceError that concerns all texts: a full disk, a wrong key."""
        with suppress(FileNotFoundError):
            (self._options.directory / ERRORS_FILE).unlink()
        await side_by_side(texts, self._one, self._options.num_parallel)
        return self._outcome

    async def _one(self, text: BatchText | BadLine) -> None:
        try:
            if isinstance(text, BadLine):
                self._failed(text.line, None, "bad_line", text.reason)
                return
            path = self._options.directory / f"{text.name}.{self._options.response_format}"
            if path.exists() and not self._options.is_overwriting:
                self._outcome.num_skipped += 1
                return
            self._outcome.audio_s += await write_audio(
                path, self._parts(text), self._options.response_format, SAMPLE_RATE_HZ
            )
            self._outcome.num_spoken += 1
        except _FOR_ALL:
            raise
        except ServiceError as error:
            assert isinstance(text, BatchText)
            self._failed(text.line, text.name, error.code, error.message)
        finally:
            self._progress.step()

    async def _parts(self, text: BatchText) -> AsyncGenerator[Samples]:
        language = text.language or self._options.language
        seed = part_seed(self._options.seed, text.line)
        for index, part in enumerate(cut_parts(text.text, language, PART_CHARS)):
            asked = Asked(
                text=part,
                language=language,
                voice=text.voice or self._options.voice,
                speed=text.speed or self._options.speed,
                seed=part_seed(seed, index),
            )
            yield (await self._speaker.speak(asked)).samples

    def _failed(self, line: int, name: str | None, code: str, message: str) -> None:
        self._outcome.num_failed += 1
        found = {"line": line, "id": name, "code": code, "message": message}
        with (self._options.directory / ERRORS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(found, ensure_ascii=False) + "\n")


async def speak_book(
    text: str, name: str, speaker: Speaker, options: BatchOptions, progress: Progress
) -> tuple[Path, Outcome]:
    """One file of the whole text, and captions beside it. Parts that are spoken are kept until it is whole, so that
    another run goes on with them. Raises a ServiceError."""
    path = options.directory / f"{name}.{options.response_format}"
    if path.exists() and not options.is_overwriting:
        return path, Outcome(num_skipped=1)
    texts = list(cut_parts(text, options.language, PART_CHARS))
    key = repr((text, options.voice, options.language, options.speed, options.seed))
    kept = JobFolder(options.directory / f".{name}.{hashlib.sha256(key.encode()).hexdigest()[:16]}")
    make_directory(kept.path / "parts")
    done = await asyncio.to_thread(kept.parts_done)
    progress.start(len(texts))

    async def speak(index: int) -> None:
        if index not in done:
            seed = part_seed(options.seed, index)
            asked = Asked(texts[index], options.language, options.voice, options.speed, seed)
            await asyncio.to_thread(kept.write_part, index, await speaker.speak(asked), SAMPLE_RATE_HZ)
        progress.step()

    await side_by_side(range(len(texts)), speak, options.num_parallel)
    cues: list[Cue] = []

    async def spoken() -> AsyncGenerator[Samples]:
        num_samples = 0
        for index in range(len(texts)):
            part = await asyncio.to_thread(kept.part, index)
            cues.extend(part.facts.cues(num_samples / SAMPLE_RATE_HZ))
            yield part.samples
            num_samples += len(part.samples)

    audio_s = await write_audio(path, spoken(), options.response_format, SAMPLE_RATE_HZ)
    write_text(path.with_suffix(".srt"), srt(cues))
    shutil.rmtree(kept.path, ignore_errors=True)
    return path, Outcome(num_spoken=1, audio_s=audio_s)


async def side_by_side(
    items: Iterable[_T], act: Callable[[_T], Coroutine[None, None, None]], num_parallel: int
) -> None:
    """Acts on so many at once; the next one is read only when one is done. The first that raises ends all."""
    running: set[asyncio.Task[None]] = set()
    try:
        for item in items:
            if len(running) >= num_parallel:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            running.add(asyncio.create_task(act(item)))
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
