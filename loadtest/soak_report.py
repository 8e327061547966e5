"""What a soak found, judged: the checks that must hold, and the tables to read."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from loadtest.gauges import Gauges
from loadtest.judgement import Outcome
from loadtest.resources import Usage, UsageByRole
from loadtest.soak import Record, SoakOptions
from loadtest.verdict import Check, check_table, percentile, table

MAX_GROWTH = 0.05
FREE_BYTES = 8 * 2**20  # what a role may gain whatever its size: an allocator's arena or two
FREE_COUNT = 4  # files and threads: pools and connections that close late
MIN_PAID = 0.95  # of the audio owed outside disruptions; the rest may be refused, for a moment, with 429
MEBIBYTE = 2**20


def soak_checks(record: Record, options: SoakOptions) -> list[Check]:
    faults = "; ".join(record.faults[:3]) or "none"
    num_kills = len(record.recoveries_s)
    recoveries = ", ".join(f"{each:.1f} s" for each in record.recoveries_s) or "no kill"
    return [
        Check("every answer is as it must be", record.num_faults == 0, f"{record.num_faults} faults: {faults}"),
        Check("audio is served", _is_paid(record), f"{record.num_paid} of {record.num_owed} requests"),
        Check("every kind was asked", _is_mixed(record), f"{_total(record)} requests"),
        Check("killed engines come back", num_kills == len(options.kills_s), recoveries),
        Check("new voices sound alone as in the crowd", record.num_replayed > 0, f"{record.num_replayed} asked again"),
        _memory_check(record),
        _count_check("files are closed", "num_files", record),
        _count_check("threads end", "num_threads", record),
        _count_check("no process is left", "num_processes", record),
        Check("no slot, queue or request stays", _is_idle(record), _gauge_text(record.gauges_after)),
        Check("the log tells of no error", not record.troubles or num_kills > 0, _troubles_text(record)),
    ]


def _total(record: Record) -> int:
    return sum(sum(each.values()) for each in record.outcomes.values())


def _is_paid(record: Record) -> bool:
    return record.num_owed > 0 and record.num_paid >= MIN_PAID * record.num_owed


def _is_mixed(record: Record) -> bool:
    """A soak that never asked is no soak."""
    kinds = {"known", "new voice", "leaves", "bad", "probe"}
    return all(sum(record.outcomes[kind].values()) > 0 for kind in kinds)


def _is_idle(record: Record) -> bool:
    return record.gauges_before.is_idle and record.gauges_after.is_idle


def _gauge_text(gauges: Gauges) -> str:
    return ", ".join(f"{name} {value}" for name, value in asdict(gauges).items())


def _troubles_text(record: Record) -> str:
    return f"{len(record.troubles)} lines" + (f", the first: {record.troubles[0][:300]}" if record.troubles else "")


def _all_roles(usage: UsageByRole) -> Usage:
    return sum(usage.values(), Usage())


def _memory_check(record: Record) -> Check:
    grown = []
    pairs = {role: (record.before.get(role, Usage()), after) for role, after in record.after.items()}
    pairs["all"] = (_all_roles(record.before), _all_roles(record.after))
    for role, (before, after) in pairs.items():
        if after.heap_bytes > before.heap_bytes + max(FREE_BYTES, MAX_GROWTH * before.heap_bytes):
            grown.append(f"{role} {before.heap_bytes / MEBIBYTE:.0f} → {after.heap_bytes / MEBIBYTE:.0f} MiB")
    before, after = pairs["all"]
    change = after.heap_bytes / max(1, before.heap_bytes) - 1.0
    return Check("memory returns (+5 %)", bool(record.after) and not grown, "; ".join([f"all {change:+.1%}", *grown]))


def _count_check(name: str, attribute: str, record: Record) -> Check:
    before: int = getattr(_all_roles(record.before), attribute)
    after: int = getattr(_all_roles(record.after), attribute)
    allowed = before + max(FREE_COUNT, int(MAX_GROWTH * before)) if attribute != "num_processes" else before
    return Check(name, 0 < after <= allowed, f"{before} → {after}")


def slopes_mib_per_h(record: Record) -> dict[str, float]:
    """Of each role's memory under load, over the second half of the soak: what the two rests might hide."""
    slopes = {}
    half = record.samples[len(record.samples) // 2 :]
    for role in sorted({role for _, usage in half for role in usage}):
        points = [(seconds, usage[role].heap_bytes) for seconds, usage in half if role in usage]
        if len(points) > 2:
            seconds, sizes = zip(*points, strict=True)
            slopes[role] = float(np.polyfit(seconds, sizes, 1)[0]) * 3600.0 / MEBIBYTE
    return slopes


def soak_lines(record: Record, options: SoakOptions) -> Iterator[str]:
    """For people."""
    lag_ms = 1e3 * percentile(record.dispatch.lags_s, 0.99)
    yield (
        f"{record.dispatch.num_sent} requests in {options.minutes:g} minutes at {record.rate_hz:.2f} a second"
        + (f" (a closed loop got {record.capacity_hz:.2f})" if record.capacity_hz else "")
        + f"; generator: {record.generator_cpu:.0%} of a core, sent {lag_ms:.0f} ms late at most (p99)"
    )
    yield (
        f"first audio of known streams: p50 {1e3 * percentile(record.ttfa_s, 0.5):.0f} ms, "
        f"p95 {1e3 * percentile(record.ttfa_s, 0.95):.0f} ms"
    )
    yield (
        f"voices on disk: {record.voice_bytes_before / MEBIBYTE:.2f} → {record.voice_bytes_after / MEBIBYTE:.2f} MiB"
    )
    yield ""
    yield from table(
        ["requests", *Outcome],
        ([kind, *(str(counts[outcome]) for outcome in Outcome)] for kind, counts in sorted(record.outcomes.items())),
    )
    yield ""
    slopes = slopes_mib_per_h(record)
    head = ["processes", "heap MiB", "shared MiB", "slope under load, MiB/h", "files", "threads", "number"]
    yield from table(head, (_usage_row(role, record, slopes) for role in sorted(record.before | record.after)))
    yield ""
    yield from check_table(soak_checks(record, options))
    yield from (f"fault: {each}" for each in record.faults)


def _usage_row(role: str, record: Record, slopes: dict[str, float]) -> list[str]:
    before, after = (usage.get(role, Usage()) for usage in (record.before, record.after))
    heap, shared = (
        f"{getattr(before, name) / MEBIBYTE:.0f} → {getattr(after, name) / MEBIBYTE:.0f}"
        for name in ("heap_bytes", "shared_bytes")
    )
    counts = (
        f"{getattr(before, name)} → {getattr(after, name)}" for name in ("num_files", "num_threads", "num_processes")
    )
    return [role, heap, shared, f"{slopes[role]:+.0f}" if role in slopes else "", *counts]


def soak_json(record: Record, options: SoakOptions) -> dict[str, Any]:
    """For machines."""
    return {
        "options": asdict(options),
        "outcomes": {kind: {str(each): number for each, number in c.items()} for kind, c in record.outcomes.items()},
        "num_sent": record.dispatch.num_sent,
        "rate_hz": record.rate_hz,
        "capacity_hz": record.capacity_hz,
        "dispatch_lag_p99_s": percentile(record.dispatch.lags_s, 0.99),
        "generator_cpu": record.generator_cpu,
        "ttfa_p50_s": percentile(record.ttfa_s, 0.5),
        "ttfa_p95_s": percentile(record.ttfa_s, 0.95),
        "recoveries_s": record.recoveries_s,
        "before": {role: asdict(usage) for role, usage in record.before.items()},
        "after": {role: asdict(usage) for role, usage in record.after.items()},
        "samples": [[s, {role: u.heap_bytes for role, u in usage.items()}] for s, usage in record.samples],
        "slopes_mib_per_h": slopes_mib_per_h(record),
        "voice_bytes": [record.voice_bytes_before, record.voice_bytes_after],
        "faults": record.faults,
        "troubles": record.troubles[:50],
        "checks": [asdict(each) for each in soak_checks(record, options)],
    }
