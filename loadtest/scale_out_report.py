"""What a scale-out measured: a table, what must hold, and all of it as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

from loadtest.scale_out import GENERATOR, Level, Load, ScaleOptions, num_cores
from loadtest.verdict import Check, percentile, table

LEAST_SHARE = 0.95  # of linear
FULL_CORES = 0.9  # of the machine's: beyond, it is the cores that are measured
GROUPS = ("ingress", "proxy", "engine", "controller", "others", GENERATOR)


def share_of_linear(level: Level, levels: Sequence[Level]) -> float:
    """Of the throughput a replica has in the smallest level."""
    first = levels[0]
    one = first.full.audio_s_per_s / first.num_replicas
    return level.full.audio_s_per_s / (one * level.num_replicas)


def share_of_sleep(level: Level, options: ScaleOptions) -> float:
    """Of the most that sleeping leaves: every slot taken at all times."""
    plan = options.plan
    most = level.num_replicas * options.num_slots * plan.audio_s / plan.service_s
    return level.full.audio_s_per_s / most


def has_full_cores(load: Load) -> bool:
    return load.busy_cores >= FULL_CORES * num_cores()


def scale_checks(levels: Sequence[Level]) -> list[Check]:
    """Where the cores were full, the share of linear is told and not judged."""
    checks = []
    for level in levels:
        faults = level.full.faults + level.half.faults
        found = f"{len(faults)} faults" + (f", such as: {faults[0]}" if faults else "")
        checks.append(Check(f"{level.num_replicas} replicas answer everything", not faults, found))
        share, is_full = share_of_linear(level, levels), has_full_cores(level.full)
        found = f"{share:.1%}, {level.full.busy_cores:.2f} of {num_cores()} cores busy"
        name = f"{level.num_replicas} replicas do {LEAST_SHARE:.0%} of linear, or cores are full"
        checks.append(Check(name, share >= LEAST_SHARE or is_full, found))
    return checks


def scale_lines(levels: Sequence[Level], options: ScaleOptions) -> Iterator[str]:
    plan = options.plan
    yield (
        f"\n{options.num_slots} slots a replica, {options.num_ingresses} ingress; an engine sleeps {plan.first_s:g} s "
        f"and then {plan.period_s:g} s for each of {plan.num_chunks} chunks of 0.5 s of audio\n"
    )
    yield from table(
        ["replicas", "requests/s", "audio s/s", "of linear", "of the slots", "cores busy", "of them ours"],
        (_throughput_cells(level, levels, options) for level in levels),
    )
    yield "\nAdded to the sleep, milliseconds (p50 / p95), half of the slots taken:\n"
    yield from table(
        ["replicas", "first audio", "each later chunk", "cores busy"],
        (
            [
                str(level.num_replicas),
                _milliseconds(level.half.first_added_s),
                _milliseconds(level.half.chunk_added_s),
                f"{level.half.busy_cores:.2f}",
            ]
            for level in levels
        ),
    )
    yield "\nCPU milliseconds for a second of streamed audio, all slots taken:\n"
    yield from table(
        ["replicas", *GROUPS],
        (
            [str(level.num_replicas), *(f"{level.full.cpu_ms_per_audio_s(group):.1f}" for group in GROUPS)]
            for level in levels
        ),
    )


def _throughput_cells(level: Level, levels: Sequence[Level], options: ScaleOptions) -> list[str]:
    full = level.full
    return [
        str(level.num_replicas),
        f"{full.audio_s_per_s / options.plan.audio_s:.2f}",
        f"{full.audio_s_per_s:.1f}",
        f"{share_of_linear(level, levels):.1%}",
        f"{share_of_sleep(level, options):.1%}",
        f"{full.busy_cores:.2f} of {num_cores()}{', full' if has_full_cores(full) else ''}",
        f"{full.own_cores:.2f}",
    ]


def _milliseconds(seconds: Sequence[float]) -> str:
    return f"{1e3 * percentile(seconds, 0.5):.0f} / {1e3 * percentile(seconds, 0.95):.0f}"


def scale_json(levels: Sequence[Level], options: ScaleOptions) -> dict[str, Any]:
    return {
        "num_slots": options.num_slots,
        "levels": [
            {
                "replicas": level.num_replicas,
                "audio_s_per_s": level.full.audio_s_per_s,
                "of_linear": share_of_linear(level, levels),
                "of_slots": share_of_sleep(level, options),
                "busy_cores": level.full.busy_cores,
                "own_cores": level.full.own_cores,
                "cpu_ms_per_audio_s": {group: level.full.cpu_ms_per_audio_s(group) for group in GROUPS},
                "added_ms": {
                    name: {f"p{share:.0%}".rstrip("%"): 1e3 * percentile(added, share) for share in (0.5, 0.95)}
                    for name, added in (("first", level.half.first_added_s), ("chunk", level.half.chunk_added_s))
                },
            }
            for level in levels
        ],
        "checks": [{"name": each.name, "is_ok": each.is_ok, "found": each.found} for each in scale_checks(levels)],
    }
