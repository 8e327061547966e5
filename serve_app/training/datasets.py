"""Recordings with transcripts in the layouts that people have: LJSpeech's and Common Voice's."""

import csv
from dataclasses import dataclass
from pathlib import Path

from serve_app.errors import RequestError

AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus")
COMMON_VOICE_FILES = ("train.tsv", "validated.tsv", "other.tsv")


@dataclass(frozen=True)
class Transcribed:
    """An audio file and what it says."""

    path: Path
    text: str


def read_dataset(folder: Path) -> list[Transcribed]:
    """`metadata.csv` (name|text or name|text|normalised text) with `wavs/`, or a `.tsv` of Common Voice with `clips/`.

    Raises RequestError for a folder of neither layout, for one without a usable line, and for files that are missing.
    """
    if (folder / "metadata.csv").is_file():
        found = _ljspeech(folder)
    else:
        table = next((folder / name for name in COMMON_VOICE_FILES if (folder / name).is_file()), None)
        if table is None:
            raise RequestError(
                f"{folder} has neither metadata.csv (LJSpeech) nor {' or '.join(COMMON_VOICE_FILES)} (Common Voice). "
                "Lay the recordings out in one of these ways.",
                field="data",
            )
        found = _common_voice(folder, table)
    if not found:
        raise RequestError(f"{folder} names no recording with a text", field="data")
    missing = [each.path for each in found if not each.path.is_file()]
    if missing:
        raise RequestError(
            f"{len(missing)} recordings are missing in {folder}, such as {missing[0].name}", field="data"
        )
    return found


def _ljspeech(folder: Path) -> list[Transcribed]:
    found: list[Transcribed] = []
    for line in (folder / "metadata.csv").read_text(encoding="utf-8").splitlines():
        name, *texts = line.split("|")
        text = texts[-1].strip() if texts else ""
        if name and text:
            found.append(Transcribed(_with_suffix(folder / "wavs" / name), text))
    return found


def _with_suffix(path: Path) -> Path:
    if path.suffix.lower() in AUDIO_SUFFIXES:
        return path
    named = (path.with_name(path.name + suffix) for suffix in AUDIO_SUFFIXES)
    return next((each for each in named if each.is_file()), path.with_name(path.name + ".wav"))


def _common_voice(folder: Path, table: Path) -> list[Transcribed]:
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        if rows.fieldnames is None or not {"path", "sentence"} <= set(rows.fieldnames):
            raise RequestError(f"{table} has no columns named path and sentence", field="data")
        return [
            Transcribed(folder / "clips" / row["path"], row["sentence"].strip())
            for row in rows
            if row["path"] and row["sentence"]
        ]
