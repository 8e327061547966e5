"""The page that shows a capacity test: one file of HTML that loads nothing."""

import html
import json
from collections.abc import Iterable, Iterator, Sequence

from loadtest.capacity.plots import plots
from loadtest.capacity.run import CapacityRecord
from loadtest.capacity.summary import Loop, Spread, Summary, milliseconds

STYLE = """
:root { color-scheme: light dark; --ink: #1b2230; --soft: #667085; --line: #d9dee7; --paper: #fff; --card: #f6f8fb }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7ebf2; --soft: #9aa6b8; --line: #333c4a; --paper: #12161d; --card: #1a2029 }
  figure svg { filter: invert(0.9) hue-rotate(180deg) }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  padding: 2rem 1rem; max-width: 62rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
.soft, figcaption, th { color: var(--soft) } .soft { margin: .2rem 0 1.2rem }
.told { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem }
.told div { background: var(--card); border-radius: .5rem; padding: .75rem 1rem }
.told strong { display: block; font-size: 1.5rem; font-weight: 600 }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(27rem, 100%), 1fr)); gap: 1rem 1.5rem }
figure { margin: 0 } figure svg { width: 100%; height: auto } figcaption { font-size: .85rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; width: 100% }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap }
th { font-weight: 500 } th:first-child, td:first-child, td.words { text-align: left } td.words { white-space: normal }
tr.best { background: var(--card); font-weight: 600 }
pre { background: var(--card); border-radius: .5rem; padding: 1rem; overflow-x: auto; font-size: .85rem }
"""


def page(record: CapacityRecord, earlier: CapacityRecord | None = None) -> str:
    """`earlier`: another run to compare with."""
    facts = record.facts
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Capacity</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>{STYLE}</style></head><body>",
            f"<h1>Capacity of {_text(facts.get('model'))}</h1>",
            f'<p class="soft">{_text(_subtitle(record))}</p>',
            f'<div class="told">{"".join(_told(record))}</div>',
            *_verdicts(record),
            *(_comparison(record, earlier) if earlier else ()),
            '<div class="plots">',
            *(
                f"<figure><h2>{_text(plot.title)}</h2>{plot.svg}<figcaption>{_text(plot.caption)}</figcaption></figure>"
                for plot in plots(record, earlier)
            ),
            "</div>",
            "<h2>Requests at once: closed loop</h2>",
            _stages(record.summaries(Loop.CLOSED), record.knee),
            "<h2>Requests a second: open loop</h2>",
            _stages(record.summaries(Loop.OPEN), record.highest, record),
            "<h2>Measured on</h2>",
            f"<pre>{_text(_facts(record))}</pre>",
            "</body></html>\n",
        )
    )


def _facts(record: CapacityRecord) -> str:
    options = {**vars(record.options), "objective": str(record.options.objective)}
    return json.dumps({**record.facts, "options": options}, indent=1, ensure_ascii=False, default=str)


def _subtitle(record: CapacityRecord) -> str:
    facts = record.facts
    generator = facts.get("generator")
    on = generator if isinstance(generator, dict) else {}
    where = f"{on.get('gpu') or on.get('cpu')}, {on.get('cores')} cores"
    shared = (
        "shared by service and generator" if facts.get("shares its machine with the generator") else "of the generator"
    )
    return (
        f"Traffic: {record.options.workload}. {facts.get('mode', facts.get('address'))}, {facts.get('device')}; "
        f"{where} {shared}; {on.get('date')}; {record.seconds / 60.0:.0f} minutes."
    )


def _told(record: CapacityRecord) -> Iterator[str]:
    one, at_knee, highest = record.summaries(Loop.CLOSED)[0], record.knee, record.highest
    if highest:
        yield _box(f"{highest.offered_hz:.3g}", f"requests a second are kept within {record.options.objective}")
        yield _box(f"{highest.audio_s_per_s:.1f}", "s of audio a second at that rate")
    else:
        yield _box("none", f"of the rates tried kept {record.options.objective}")
    yield _box(f"{at_knee.level:g}", f"at once is the knee: {at_knee.audio_s_per_s:.1f} s of audio a second")
    yield _box(milliseconds(one.ttfa_s.p50), "to the first audio, one request at a time (p50)")


def _box(number: str, words: str) -> str:
    return f"<div><strong>{_text(number)}</strong>{_text(words)}</div>"


def _verdicts(record: CapacityRecord) -> Iterator[str]:
    highest = record.highest
    if highest and record.options.objective.not_served_share * highest.num_requests < 1.0:
        bound = 3.0 / highest.num_requests
        yield (
            f"<p>None of {highest.num_requests} requests failed at that rate, from which follows (95 %) that fewer "
            f"than {bound:.2%} do: longer stages prove more.</p>"
        )
    if record.differences is not None:
        found = "; ".join(record.differences) or "all sounded bit for bit as they do alone"
        yield f"<p>Sampled requests, asked again alone: {_text(found)}.</p>"
    errors = sum(each.num_errors for loop in Loop for each in record.summaries(loop))
    yield (
        f"<p>{errors} requests of the whole test ended in an error (a polite refusal is none)." + _whys(record) + "</p>"
    )


def _whys(record: CapacityRecord) -> str:
    whys = dict.fromkeys(each.why for stage in record.stages for each in stage.heard if each.why)
    return f" The first: {_text('; '.join(list(whys)[:3]))}." if whys else ""


def _comparison(record: CapacityRecord, earlier: CapacityRecord) -> Iterator[str]:
    pairs: list[tuple[str, float | None, float | None]] = [
        ("highest rate, requests/s", _offered(record.highest), _offered(earlier.highest)),
        ("knee, s of audio a second", record.knee.audio_s_per_s, earlier.knee.audio_s_per_s),
        *(
            (f"first audio p50 at {now.level:g} at once, ms", _milli(now.ttfa_s.p50), _milli(before.ttfa_s.p50))
            for now in record.summaries(Loop.CLOSED)
            for before in earlier.summaries(Loop.CLOSED)
            if now.level == before.level
        ),
    ]
    yield "<h2>Against the earlier run</h2>"
    yield _table(
        ("", "now", "earlier", "change"),
        ([name, _number(now), _number(before), _change(now, before)] for name, now, before in pairs),
    )
    yield f'<p class="soft">{_text("Earlier: " + _subtitle(earlier))}</p>'


def _offered(summary: Summary | None) -> float | None:
    return summary.offered_hz if summary else None


def _change(now: float | None, before: float | None) -> str:
    return f"{now / before - 1.0:+.0%}" if now is not None and before else "–"


def _stages(summaries: Sequence[Summary], best: Summary | None, record: CapacityRecord | None = None) -> str:
    """`record`: whose objective is held against each."""
    if not summaries:
        return '<p class="soft">None was measured.</p>'
    means = list(dict.fromkeys(name for each in summaries for name in each.means if not name.endswith("bytes")))
    head = [
        "at once" if summaries[0].loop is Loop.CLOSED else "requests/s",
        "served/s",
        "audio s/s",
        "first audio p50",
        "p95",
    ]
    head += [
        "p99",
        "RTF p95",
        "gap p95",
        "underruns/min",
        "stalled",
        "busy",
        "errors",
        *means,
        *(["objective"] if record else []),
    ]
    rows = []
    for each in summaries:
        cells = [f"{each.level:.3g}", f"{each.served_hz:.2f}", f"{each.audio_s_per_s:.2f}"]
        cells += [
            *_spread(each.ttfa_s),
            _number(each.rtf.p95),
            milliseconds(each.gap_s.p95),
            f"{each.underruns_per_minute:.2f}",
            f"{each.stalled_share:.2%}",
        ]
        cells += [
            str(each.endings.get("busy", 0)),
            str(each.num_errors),
            *(_number(each.means.get(name)) for name in means),
        ]
        if record:
            cells.append("; ".join(record.options.objective.misses(each)) or "kept")
        rows.append(cells)
    return _table(head, rows, {index for index, each in enumerate(summaries) if best and each.level == best.level})


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], best: Iterable[int] = ()) -> str:
    names = "".join(f"<th>{_text(name)}</th>" for name in head)
    lines = (
        f"<tr{' class=best' if index in best else ''}>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>"
        for index, cells in enumerate(rows)
    )
    return f'<div class="wide"><table><tr>{names}</tr>{"".join(lines)}</table></div>'


def _spread(spread: Spread) -> tuple[str, str, str]:
    return milliseconds(spread.p50), milliseconds(spread.p95), milliseconds(spread.p99)


def _milli(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _text(value: object) -> str:
    return html.escape(str(value))
