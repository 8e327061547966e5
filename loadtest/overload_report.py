"""What an overload showed, judged: the checks that must hold, and the tables to read."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from loadtest.judgement import Outcome
from loadtest.overload import OverloadOptions, OverloadRecord, first_audio_s
from loadtest.verdict import Check, check_table, percentile, table

MAX_REFUSAL_S = 0.25  # p99, from when the request was to be sent
MAX_LAG_S = 0.1  # p99, of the generator: beyond it the numbers are the generator's
MIN_REFUSED = 100  # answers of which one in a hundred may be late
FIRST_AUDIO_TOLERANCE = 0.1  # generator and service share their cores, and a p95 of one minute is no constant
MIN_GOODPUT = 0.75  # of the knee's rate, while three of four requests are refused beside it on the same cores
RECOVERY_MARGIN_S = 5.0  # beyond the longest wait


def overload_checks(record: OverloadRecord, options: OverloadOptions) -> list[Check]:
    refusals_s = _refusals_s(record)
    faults = "; ".join(record.faults[:3]) or "none"
    return [
        Check("every answer is audio or a whole 429", not record.faults, f"{len(record.faults)} faults: {faults}"),
        _storm_check(record, options),
        Check("enough are refused to judge by", len(refusals_s) >= MIN_REFUSED, f"{len(refusals_s)} of {_num(record)}"),
        _limit_check("refused at once (p99)", percentile(refusals_s, 0.99), MAX_REFUSAL_S),
        _first_audio_check(record, options),
        _goodput_check(record),
        _recovery_check(record, options),
    ]


def _refusals_s(record: OverloadRecord) -> list[float]:
    return [each.ended_s for each in record.storm if each.outcome is Outcome.BUSY]


def _goodput_check(record: OverloadRecord) -> Check:
    found = f"{_goodput(record):.0%} of the knee's rate"
    return Check("speech goes on", _goodput(record) >= MIN_GOODPUT, found, is_time=True)


def _num(record: OverloadRecord) -> int:
    return len(record.storm)


def _goodput(record: OverloadRecord) -> float:
    return record.served_hz / record.knee.rate_hz


def _storm_check(record: OverloadRecord, options: OverloadOptions) -> Check:
    """It was the load that it was meant to be."""
    sent_hz = record.dispatch.num_sent / options.storm_s
    lag_s = percentile(record.dispatch.lags_s, 0.99)
    factor = sent_hz / record.knee.rate_hz
    is_ok = lag_s <= MAX_LAG_S and factor >= 0.8 * options.factor
    found = f"{factor:.1f} × the knee's rate, {1e3 * lag_s:.0f} ms late (p99)"
    return Check("the generator keeps time", is_ok, found, is_time=True)


def _limit_check(name: str, found_s: float, limit_s: float) -> Check:
    return Check(name, found_s <= limit_s, f"{1e3 * found_s:.0f} ms, at most {1e3 * limit_s:.0f}", is_time=True)


def _first_audio_check(record: OverloadRecord, options: OverloadOptions) -> Check:
    limit_s = (1.0 + FIRST_AUDIO_TOLERANCE) * (record.knee.ttfa_p95_s + record.longest_wait_s(options))
    return _limit_check("first audio of those let in (p95)", percentile(first_audio_s(record.storm), 0.95), limit_s)


def _recovery_check(record: OverloadRecord, options: OverloadOptions) -> Check:
    limit_s = record.longest_wait_s(options) + RECOVERY_MARGIN_S
    is_ok = record.recovery_s is not None and record.recovery_s <= limit_s
    found = "never" if record.recovery_s is None else f"{record.recovery_s:.1f} s"
    return Check("normal again after the storm", is_ok, f"{found}, at most {limit_s:.1f} s", is_time=True)


def overload_lines(record: OverloadRecord, options: OverloadOptions) -> Iterator[str]:
    """For people."""
    yield from table(
        ["at once", "requests a second", "first audio p50 ms", "p95 ms", ""],
        (
            [
                str(level.num_at_once),
                f"{level.rate_hz:.2f}",
                *(f"{1e3 * percentile(first_audio_s(level.heard), share):.0f}" for share in (0.5, 0.95)),
                "knee" if level is record.knee else "",
            ]
            for level in record.levels
        ),
    )
    yield ""
    counts = Counter(str(each.outcome) for each in record.storm)
    yield (
        f"storm: {record.dispatch.num_sent} requests in {options.storm_s:g} s"
        f" ({', '.join(f'{name} {number}' for name, number in sorted(counts.items()))});"
        f" generator: {record.generator_cpu:.0%} of a core"
    )
    yield ""
    rows = (("429, whole", _refusals_s(record)), ("first audio", first_audio_s(record.storm)))
    shares = (0.5, 0.95, 0.99, 1.0)
    yield from table(
        ["in the storm, ms", "p50", "p95", "p99", "max"],
        ([name, *(f"{1e3 * percentile(values, share):.0f}" for share in shares)] for name, values in rows),
    )
    yield ""
    yield (
        f"longest wait (p95): {options.num_places} places, {options.num_slots} slots, {record.served_hz:.2f} served/s: "
        f"{1e3 * record.longest_wait_s(options):.0f} ms"
    )
    yield ""
    yield from check_table(overload_checks(record, options))


def overload_json(record: OverloadRecord, options: OverloadOptions) -> dict[str, Any]:
    """For machines."""
    return {
        "options": asdict(options),
        "levels": [
            {"at_once": each.num_at_once, "rate_hz": each.rate_hz, "ttfa_p95_s": each.ttfa_p95_s}
            for each in record.levels
        ],
        "longest_wait_s": record.longest_wait_s(options),
        "num_sent": record.dispatch.num_sent,
        "dispatch_lag_p99_s": percentile(record.dispatch.lags_s, 0.99),
        "generator_cpu": record.generator_cpu,
        "outcomes": Counter(str(each.outcome) for each in record.storm),
        "refusal_p50_s": percentile(_refusals_s(record), 0.5),
        "refusal_p99_s": percentile(_refusals_s(record), 0.99),
        "ttfa_p95_s": percentile(first_audio_s(record.storm), 0.95),
        "goodput": _goodput(record),
        "recovery_s": record.recovery_s,
        "faults": record.faults[:50],
        "checks": [asdict(each) for each in overload_checks(record, options)],
    }
