"""The alerts, and the recording rules they read. What each means to who is called is in docs/operations.md."""

from dataclasses import dataclass
from typing import Any

from serve_app import metrics
from serve_app.monitoring import ray_metrics
from serve_app.monitoring import recordings as recorded
from serve_app.monitoring.expressions import Source, highest, total
from serve_app.monitoring.recordings import FIRST_AUDIO_S, num_first_audios, slow_share
from serve_app.monitoring.rule_file import to_yaml

RUNBOOK = "docs/operations.md"
FIRST_AUDIO_SHARE = 0.95  # the objective: of 30 days' first audios, as many within FIRST_AUDIO_S
CRITICAL, WARNING = "critical", "warning"  # someone is called; someone looks today
MIN_FIRST_AUDIOS = 20  # of a burn's long window: fewer are no judgement
MIN_EVENTS = 5  # of refusals, failures, underruns


@dataclass(frozen=True)
class Alert:
    """`lasts`: how long the expression must hold before it fires."""

    name: str
    severity: str
    lasts: str
    expression: str
    summary: str
    description: str

    def rule(self) -> dict[str, Any]:
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.lasts,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOK}#{self.name.lower()}",
            },
        }


@dataclass(frozen=True)
class Burn:
    """How many times faster than the objective allows, over a long window and still in a short one."""

    factor: float
    long: str
    short: str


# Of a budget for 30 days these take 2 % in an hour, 5 % in six hours; 10 % in a day, 10 % in three.
FAST_BURNS = (Burn(14.4, "1h", "5m"), Burn(6, "6h", "30m"))
SLOW_BURNS = (Burn(3, "1d", "2h"), Burn(1, "3d", "6h"))


def rules(source: Source) -> dict[str, Any]:
    """Prometheus' rule groups: one, so that alerts read what was recorded just before."""
    recordings = [{"record": name, "expr": each} for name, each in recorded.recordings(source).items()]
    alerts = [*_readiness(source), *_requests(source), *_queue(source), *_engine(source)]
    return {"groups": [{"name": "xtts-serve", "rules": [*recordings, *(alert.rule() for alert in alerts)]}]}


def rules_yaml(source: Source) -> str:
    return to_yaml(rules(source))


def _readiness(source: Source) -> list[Alert]:
    by = source.group
    loaded = source.select(metrics.SLOTS)
    missing = "No metrics of {{ $labels.namespace }} reach Prometheus"
    if not source.is_ray:
        return [
            Alert(
                "XttsNoReadyReplica",
                CRITICAL,
                "5m",
                f"{total(loaded, by)} == 0",
                "No process of {{ $labels.namespace }}/{{ $labels.job }} has loaded its model",
                "Processes answer, and every request for speech is refused with 503.",
            ),
            Alert("XttsMetricsMissing", CRITICAL, "5m", _gone(loaded, by), missing, _MISSING),
        ]
    healthy = source.select(ray_metrics.REPLICA_HEALTHY)
    target = source.select(ray_metrics.REPLICAS_TARGET)
    deployment = (*by, "deployment")
    engines = source.select(ray_metrics.REPLICA_HEALTHY, 'deployment="Engine"')
    scraped = (*by, "replica")
    return [
        Alert(
            "XttsNoReadyReplica",
            CRITICAL,
            "2m",
            f"{highest(target, deployment)}\nunless {total(healthy, deployment)} > 0",
            "No replica of {{ $labels.deployment }} in {{ $labels.namespace }}/{{ $labels.application }} is healthy",
            "Serve wants {{ $value }} and has none: every request for speech is refused with 503.",
        ),
        Alert(
            "XttsReplicasMissing",
            WARNING,
            "15m",
            f"({highest(target, deployment)} - {total(healthy, deployment)}) > 0",
            "{{ $labels.deployment }} in {{ $labels.namespace }}/{{ $labels.application }} lacks {{ $value }} replicas",
            "Serve has wanted more replicas than are healthy for 15 minutes: there is no GPU for them, or they fail.",
        ),
        Alert(
            "XttsMetricsMissing",
            CRITICAL,
            "5m",
            _gone(source.select(ray_metrics.DEPLOYMENT_STATUS, 'deployment="Engine"'), by),
            missing,
            _MISSING,
        ),
        Alert(
            "XttsReplicaNotScraped",
            WARNING,
            "5m",
            f"{total(engines, scraped)} > 0\nunless {total(source.select(metrics.CODES), scraped)}",
            "The metrics of healthy replica {{ $labels.replica }} in {{ $labels.namespace }} are not scraped",
            "The head node is scraped and the node of this replica is not: the other alerts do not see it.",
        ),
    ]


_MISSING = "The service is gone, or it is no longer scraped: no other alert can fire."


def _gone(series: str, by: tuple[str, ...]) -> str:
    """Was there in the last hour, or never was anywhere."""
    labels = ", ".join(by)
    return (
        f"(max by ({labels}) (last_over_time({series}[1h]))\nunless max by ({labels}) ({series}))"
        f"\nor absent_over_time({series}[1h])"
    )


def _requests(source: Source) -> list[Alert]:
    by = source.group
    service = "{{ $labels.namespace }}/{{ $labels." + by[-1] + " }}"
    return [
        Alert(
            "XttsErrors",
            CRITICAL,
            "2m",
            _often(recorded.FAILED_5M, recorded.ASKED_5M, 0.05),
            "{{ $value | humanizePercentage }} of the requests to " + service + " fail",
            "Answers with a status of 5xx and streams that were cut, of the requests of the last five minutes.",
        ),
        Alert(
            "XttsFirstAudioBurnsFast",
            CRITICAL,
            "2m",
            _burning(FAST_BURNS),
            "{{ $value | humanizePercentage }} of the first audios of " + service + " come late",
            _burn_text("At this rate the objective's budget for 30 days is gone within days."),
        ),
        Alert(
            "XttsFirstAudioBurnsSlowly",
            WARNING,
            "1h",
            _burning(SLOW_BURNS),
            "{{ $value | humanizePercentage }} of the first audios of " + service + " come late, over days",
            _burn_text("At this rate the objective is missed at the end of the 30 days."),
        ),
        Alert(
            "XttsRefusals",
            WARNING,
            "5m",
            _often(recorded.REFUSED_10M, recorded.ASKED_10M, 0.05),
            "{{ $value | humanizePercentage }} of the requests to " + service + " are refused: it is full",
            "Answers 429 `overloaded` in the last ten minutes. Those who exceed their API key's limits do not count.",
        ),
        Alert(
            "XttsUnderruns",
            WARNING,
            "5m",
            f"60 * {_often(recorded.UNDERRUNS_10M, recorded.HEARD_10M, 1)}",
            "Streams of " + service + " stutter {{ $value | humanize }} times a minute of audio",
            "Chunks came later than a player at normal speed needed them, in the last ten minutes.",
        ),
    ]


def _often(events: str, of: str, bound: float) -> str:
    return f"{events} / {of} > {bound}\nand {events} >= {MIN_EVENTS}"


def _burning(burns: tuple[Burn, ...]) -> str:
    budget = 1 - FIRST_AUDIO_SHARE
    return "\nor ".join(_burns_at(burn, f"{burn.factor * budget:.4g}") for burn in burns)


def _burns_at(burn: Burn, bound: str) -> str:
    long, short = slow_share(burn.long), slow_share(burn.short)
    return f"({long} > {bound} and {short} > {bound} and {num_first_audios(burn.long)} >= {MIN_FIRST_AUDIOS})"


def _burn_text(meaning: str) -> str:
    return f"The objective is {FIRST_AUDIO_SHARE:.0%} within {FIRST_AUDIO_S:g} s. {meaning}"


def _queue(source: Source) -> list[Alert]:
    by = source.group
    service = "{{ $labels.namespace }}/{{ $labels." + by[-1] + " }}"
    alerts = [
        Alert(
            "XttsQueueOld",
            WARNING,
            "2m",
            f"{highest(source.select(metrics.OLDEST_WAIT), by)} > 5",
            "A sentence of " + service + " has waited {{ $value | humanizeDuration }} for a slot",
            "Every slot of a replica is taken, and what waits there longest has waited for more than five seconds.",
        )
    ]
    if source.is_ray:
        queued = source.select(ray_metrics.REQUESTS_QUEUED, 'deployment="Engine"')
        alerts.append(
            Alert(
                "XttsRequestsQueued",
                WARNING,
                "5m",
                f"{total(queued, by)} > 0",
                "{{ $value }} requests of " + service + " wait before any engine replica takes them",
                "For five minutes no engine replica has had room for all requests: more replicas are needed.",
            )
        )
    return alerts


def _engine(source: Source) -> list[Alert]:
    by = source.group
    service = "{{ $labels.namespace }}/{{ $labels." + by[-1] + " }}"
    member = (*by, source.member)
    used, memory = (total(source.select(each), member) for each in (metrics.GPU_MEMORY_USED, metrics.GPU_MEMORY))
    return [
        Alert(
            "XttsGpuMemory",
            WARNING,
            "10m",
            f"{used} / {memory} > 0.95",
            "The GPU of {{ $labels." + source.member + " }} is {{ $value | humanizePercentage }} full",
            "All processes on that GPU together. The next growth of a batch, ours or another's, may find no memory.",
        ),
        Alert(
            "XttsOutOfMemory",
            WARNING,
            "0m",
            f"{recorded.OUT_OF_MEMORY_15M} > 0",
            service + " ran out of device memory {{ $value | humanize }} times in 15 minutes",
            "The engine went on with smaller batches: what ran was delayed, and refused if it failed again.",
        ),
        Alert(
            "XttsGuards",
            WARNING,
            "0m",
            _often(recorded.GUARDED_15M, recorded.SENTENCES_15M, 0.02),
            "{{ $value | humanizePercentage }} of the sentences of " + service + " were stopped by a guard",
            "No end in sight, in circles: spoken anew or ended early. No numbers, no memory: their requests failed.",
        ),
    ]
