"""`batch` as a person sees it: a bar while it goes on, what failed, and a line at the end. Knows no speech."""

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from serve_app.audio.encoders import encoder_for
from serve_app.batch.lines import BatchOptions, Line, read_lines
from serve_app.batch.run import run_batch
from serve_app.batch.speakers import Speaker, local_speaker, remote_speaker
from serve_app.errors import RequestError
from serve_app.settings import Settings


async def speak_file(
    settings: Settings, file: Path, options: BatchOptions, *, is_book: bool, url: str | None, api_key: str | None
) -> bool:
    """Whether all texts were spoken. Raises `RequestError` for a file or options that cannot be used."""
    encoder_for(options.audio_format, field="format")
    num_lines = 0 if is_book else sum(1 for _ in read_lines(file, options))  # finds mistakes before a model is loaded
    lines = iter([_whole(file, options)]) if is_book else read_lines(file, options)
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"cannot make {options.output}: {error.strerror}; choose another", field="output") from None
    console = Console(file=sys.stderr)
    connected = remote_speaker(url, api_key) if url else local_speaker(settings)
    async with connected as speaker:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
        ) as bar:
            if is_book:
                return await _book(next(lines), speaker, options, bar)
            return await _lines(file, num_lines, speaker, options, bar)


async def _lines(file: Path, num_lines: int, speaker: Speaker, options: BatchOptions, bar: Progress) -> bool:
    task = bar.add_task("texts", total=num_lines)

    def tell(line: Line, outcome: str) -> None:
        if outcome.startswith("failed"):
            bar.console.print(f"{line.id}: {outcome}", markup=False)
        bar.advance(task)

    outcome = await run_batch(read_lines(file, options), speaker, options, tell)
    told = f"{outcome.num_spoken} spoken, {outcome.num_there} there already, {len(outcome.failures)} failed"
    bar.console.print(f"{options.output}: {told}", markup=False)
    return not outcome.failures


async def _book(line: Line, speaker: Speaker, options: BatchOptions, bar: Progress) -> bool:
    task: TaskID = bar.add_task("characters", total=len(line.text))

    def tell(num_done: int, num_chars: int) -> None:
        bar.update(task, completed=num_done, total=num_chars)

    path = await speaker.speak_book(line, options, tell)
    bar.console.print(f"{path}: spoken, with captions beside it", markup=False)
    return True


def _whole(file: Path, options: BatchOptions) -> Line:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read {file}: {error}", field="file") from None
    if not any(char.isalnum() for char in text):
        raise RequestError(f"{file} holds nothing to read", field="file")
    return Line(file.stem, text, options.voice, options.language, options.speed)
