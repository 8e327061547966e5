"""Results as a table in Markdown and as JSON."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from loadtest.compare.listening import Listened, Text
from loadtest.experiments.run import Result
from loadtest.quality import Judges, Quality, quality_cells
from loadtest.recordings import reading_of
from loadtest.verdict import table

MESSAGE = re.compile(r'"message": ?"([^"]*)')
MAX_TOLD = 80  # characters
JUDGE_S = 10.0  # of the reader, whom a cloned voice is held against


def judged(results: Sequence[Result], judges: Judges) -> list[Quality | None]:
    """None where nothing was served."""
    reader = judges.voice(*_reader()) if any(result.variant.is_cold for result in results) else None

    def judge(result: Result) -> Quality | None:
        spoken = [(Text(result.variant.text, "en", 0), each) for each in result.served]
        likes = [reader] * len(spoken) if reader is not None and result.variant.is_cold else None
        return judges.judge(spoken, likes)

    return [judge(result) for result in results]


def _reader() -> tuple[Any, int]:
    import io

    import soundfile

    samples, rate_hz = soundfile.read(io.BytesIO(reading_of(JUDGE_S, from_end=True)), dtype="float32")
    return samples, rate_hz


def lines(results: Sequence[Result], judgements: Sequence[Quality | None] | None) -> Iterator[str]:
    """Medians of the requests. RTF: seconds until the last byte by second of speech."""
    is_cold = any(result.variant.is_cold for result in results)
    head = ["", "first audio", "all of it", "speech", "RTF", "speech a second"]
    head += ["first audio, new voice"] if is_cold else []
    head += ["words wrong", "DNSMOS", *(["likeness"] if is_cold else [])] if judgements else []

    def row(index: int, result: Result) -> list[str]:
        if result.why:
            return [result.variant.name, f"refused: {_told(result.why)}", *[""] * (len(head) - 2)]
        cells = [
            result.variant.name,
            _ms(result, lambda each: each.first_audio_s),
            _ms(result, lambda each: each.total_s),
        ]
        cells += [f"{_mid(result, lambda each: each.audio_s):.2f} s"]
        cells += [f"{_mid(result, lambda each: each.total_s / each.audio_s):.2f}", f"{speech_rate(result):.2f} s"]
        if is_cold:
            cells.append("–" if result.cold is None else f"{1e3 * result.cold.first_audio_s:.0f} ms")
        if judgements:
            cells += quality_cells(judgements[index])[: 3 if is_cold else 2]
        return cells

    return table(head, (row(index, result) for index, result in enumerate(results)))


def _told(why: str) -> str:
    """The beginning of the service's own message, where there is one."""
    message = MESSAGE.search(why)
    return (message[1] if message else why)[:MAX_TOLD].rsplit(";")[0]


def speech_rate(result: Result) -> float:
    """Seconds of speech a second, of the requests that went together."""
    num = result.variant.num_at_once
    turns = [result.spoken[start : start + num] for start in range(0, len(result.spoken), num)]
    rates = (sum(each.audio_s for each in turn) / wall_s for turn, wall_s in zip(turns, result.walls_s, strict=True))
    return median(rates)


def to_json(results: Sequence[Result], judgements: Sequence[Quality | None] | None) -> list[dict[str, Any]]:
    """Without samples."""
    return [
        {
            "name": result.variant.name,
            "text": result.variant.text,
            "settings": dict(result.variant.settings),
            "at_once": result.variant.num_at_once,
            "cold": None if result.cold is None else _times(result.cold),
            "spoken": [_times(each) for each in result.spoken],
            "speech_a_second": speech_rate(result),
            "judged": (quality := judgements[index]) and asdict(quality) if judgements else None,
        }
        for index, result in enumerate(results)
    ]


def _times(heard: Listened) -> dict[str, Any]:
    times = {"first_audio_s": heard.first_audio_s, "total_s": heard.total_s, "audio_s": heard.audio_s}
    return {**times, "why": heard.why}


def _mid(result: Result, of: Callable[[Listened], float]) -> float:
    return median(of(each) for each in result.served)


def _ms(result: Result, of: Callable[[Listened], float]) -> str:
    return f"{1e3 * _mid(result, of):.0f} ms"
