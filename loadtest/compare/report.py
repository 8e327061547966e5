"""What a comparison found, as tables in Markdown and as JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from statistics import median
from typing import Any

from loadtest.compare.run import Comparison, Round
from loadtest.quality import Quality
from loadtest.verdict import percentile, table


def speed_table(found: Comparison) -> Iterator[str]:
    """Medians of the rounds; the ratio is of throughput, to the last peer."""
    names = list(found.rounds)
    head = ["at once", "", "s of audio a second", f"by {names[-1]}", "first audio p50", "p95", "whole p50", "failed"]
    return table(head, (_row(found, level, name) for level in found.options.levels for name in names))


def _row(found: Comparison, level: int, name: str) -> list[str]:
    mine, last = found.at(name, level), found.at(list(found.rounds)[-1], level)
    spoken = [each for turn in mine for each in turn.spoken if not each.why]
    num_failed = sum(bool(each.why) for turn in mine for each in turn.spoken)
    ratio = _speed(mine) / _speed(last) if _speed(last) else float("nan")
    firsts_s, totals_s = [each.first_audio_s for each in spoken], [each.total_s for each in spoken]
    cells = [f"{1e3 * percentile(firsts_s, share):.0f} ms" for share in (0.5, 0.95)]
    return [
        str(level),
        name,
        f"{_speed(mine):.2f}",
        f"{ratio:.2f} ×",
        *cells,
        f"{1e3 * percentile(totals_s, 0.5):.0f} ms",
        str(num_failed),
    ]


def _speed(rounds: list[Round]) -> float:
    return median(each.audio_s_per_s for each in rounds)


def to_json(found: Comparison, qualities: Mapping[str, Quality | None] | None) -> dict[str, Any]:
    """Without samples."""
    return {
        "options": asdict(found.options),
        "texts": [asdict(text) for text in found.texts],
        "quality": None if qualities is None else {name: each and asdict(each) for name, each in qualities.items()},
        "rounds": {
            name: [
                {
                    "level": each.level,
                    "wall_s": each.wall_s,
                    "spoken": [
                        {"first_audio_s": s.first_audio_s, "total_s": s.total_s, "audio_s": s.audio_s, "why": s.why}
                        for s in each.spoken
                    ],
                }
                for each in rounds
            ]
            for name, rounds in found.rounds.items()
        },
    }
