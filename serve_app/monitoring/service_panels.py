"""What callers meet: outcomes, times, audio."""

from serve_app import metrics
from serve_app.monitoring import ray_metrics
from serve_app.monitoring.alerts import FIRST_AUDIO_SHARE
from serve_app.monitoring.expressions import FAILED, NOT_PROBES, REFUSED, Source, share, total
from serve_app.monitoring.panel import COUNTED, GLANCE, WINDOW, Panel, Query, Unit, a_minute, quantiles
from serve_app.monitoring.recordings import FIRST_AUDIO_S


def glance(source: Source) -> tuple[Panel, ...]:
    asked = source.growth(metrics.REQUESTS, GLANCE, NOT_PROBES)
    healthy = source.select(ray_metrics.REPLICA_HEALTHY, 'deployment="Engine"')
    loaded = total(healthy) if source.is_ray else f"count({source.select(metrics.SLOTS)} > 0)"
    return (
        Panel(
            "Ready engines",
            "Engine replicas that can speak. Zero: every request is refused; see the alert XttsNoReadyReplica.",
            Unit.COUNT,
            (Query(f"{loaded} or vector(0)", "ready"),),
            good=1,
            is_number=True,
        ),
        Panel(
            "Speech now",
            "Seconds of audio handed out each second: how many listeners at normal speed that serves.",
            Unit.REAL_TIME,
            (Query(source.rate(metrics.AUDIO_SECONDS, GLANCE), "audio"),),
            is_number=True,
        ),
        Panel(
            "First audio, p95",
            f"Nineteen of twenty wait no longer. Above {FIRST_AUDIO_S:g} s: look at the queue, then at the stages.",
            Unit.SECONDS,
            (Query(source.quantile(0.95, metrics.FIRST_AUDIO, GLANCE), "p95"),),
            bad=FIRST_AUDIO_S,
            is_number=True,
        ),
        Panel(
            "Failed",
            "Share of requests that were answered 5xx or cut, in five minutes. Above 5 %: see the alert XttsErrors.",
            Unit.SHARE,
            (Query(share(source.growth(metrics.REQUESTS, GLANCE, *FAILED), asked), "failed"),),
            bad=0.05,
            is_number=True,
        ),
        Panel(
            "Refused",
            "Share of requests that met a full queue (429), in five minutes. Above 5 %: add replicas.",
            Unit.SHARE,
            (Query(share(source.growth(metrics.REQUESTS, GLANCE, REFUSED), asked), "refused"),),
            bad=0.05,
            is_number=True,
        ),
        Panel(
            "Underruns",
            "Times a minute of audio that a stream came too late for its player. Above one: listeners hear gaps.",
            Unit.PER_MINUTE,
            (Query(_underruns_a_minute(source, GLANCE), "underruns"),),
            bad=1,
            is_number=True,
        ),
    )


def jobs(source: Source) -> tuple[Panel, ...]:
    return (
        Panel(
            "Jobs open",
            "That wait or are spoken, as the HTTP process sees them that sees most. It grows for hours: more than is "
            "spoken comes in; add replicas, or raise XTTS_MAX_JOBS_RUNNING where slots are free.",
            Unit.COUNT,
            (Query(f"max({source.select(metrics.JOBS_OPEN)})", "open"),),
            empty="no job was sent yet",
        ),
        Panel(
            "Jobs by outcome",
            "That are over. `failed`: GET /v1/jobs/{id} has the reason, mostly a voice that is gone.",
            Unit.PER_MINUTE,
            (Query(a_minute(source, metrics.JOBS, by=("outcome",)), "{{outcome}}"),),
            is_stacked=True,
            empty="no job is over yet",
        ),
        Panel(
            "Parts of jobs by outcome",
            "`delayed` beside `spoken`: live requests leave jobs no room. `delayed` alone: the engines are away, or "
            "the disk where jobs are kept is full.",
            Unit.PER_MINUTE,
            (Query(a_minute(source, metrics.JOB_PARTS, by=("outcome",)), "{{outcome}}"),),
            is_stacked=True,
            empty="no job was sent yet",
        ),
    )


def _underruns_a_minute(source: Source, window: str) -> str:
    heard = source.growth(metrics.AUDIO_SECONDS, window)
    return f"60 * {share(source.growth(metrics.UNDERRUNS, window), heard)}"


def service(source: Source) -> tuple[Panel, ...]:
    asked = source.growth(metrics.REQUESTS, COUNTED, NOT_PROBES)
    return (
        Panel(
            "Requests by outcome",
            "`ok` should be most. `overloaded`: full, add replicas. `truncated`, `unavailable`, `engine_failed`: "
            "replicas are lost, see Autoscaling. Other codes are the callers' own mistakes.",
            Unit.PER_MINUTE,
            (Query(a_minute(source, metrics.REQUESTS, NOT_PROBES, by=("code",)), "{{code}}"),),
            is_stacked=True,
        ),
        Panel(
            "Failed and refused",
            "Shares of all requests. Failed above 5 %: read the log for the code. Refused above 5 %: more replicas, or "
            "fewer requests.",
            Unit.SHARE,
            (
                Query(share(source.growth(metrics.REQUESTS, COUNTED, *FAILED), asked), "failed"),
                Query(share(source.growth(metrics.REQUESTS, COUNTED, REFUSED), asked), "refused"),
            ),
            bad=0.05,
        ),
        Panel(
            "Open requests",
            "Being answered now. Steady growth at steady arrivals: the service is slower than its load.",
            Unit.COUNT,
            (Query(total(source.select(metrics.REQUESTS_OPEN)), "open"),),
        ),
        Panel(
            "First audio by route",
            f"From arrival to first audio. p95 above {FIRST_AUDIO_S:g} s misses the objective: if p50 is high too, it "
            "is load (Queue and slots); if only p99 is, it is new voices (Voices) or long first sentences.",
            Unit.SECONDS,
            quantiles(source, metrics.FIRST_AUDIO, (0.5, 0.95, 0.99), "route"),
            bad=FIRST_AUDIO_S,
        ),
        Panel(
            f"First audio later than {FIRST_AUDIO_S:g} s",
            f"Share of first audios. The objective allows {1 - FIRST_AUDIO_SHARE:.0%}; far above it, the alert "
            "XttsFirstAudioBurnsFast fires.",
            Unit.SHARE,
            (Query(source.share_above(FIRST_AUDIO_S, metrics.FIRST_AUDIO, WINDOW), "late"),),
            bad=round(1 - FIRST_AUDIO_SHARE, 6),
        ),
        Panel(
            "Stages, p95",
            "Where a request's time goes. `queue`: too few slots. `voice`: new voices are encoded. `text`: very long "
            "texts. `synthesis`: the engine.",
            Unit.SECONDS,
            quantiles(source, metrics.STAGE_SECONDS, (0.95,), "stage"),
        ),
        Panel(
            "Real-time factor",
            "Seconds to answer a request by second of its audio. Above one, a live stream cannot keep up: fewer slots "
            "or faster hardware.",
            Unit.COUNT,
            quantiles(source, metrics.REAL_TIME_FACTOR, (0.5, 0.95), "route"),
            bad=1,
        ),
        Panel(
            "Largest gap of a stream",
            "Longest wait for a chunk after the first audio. A stream comes in pieces of up to XTTS_MAX_CHUNK_S: "
            "gaps longer than that are underruns.",
            Unit.SECONDS,
            quantiles(source, metrics.LARGEST_GAP, (0.5, 0.95), "route"),
        ),
        Panel(
            "Audio handed out",
            "Seconds of audio a second: how many listeners at normal speed that serves.",
            Unit.REAL_TIME,
            (Query(source.rate(metrics.AUDIO_SECONDS, WINDOW, by=("route",)), "{{route}}"),),
            is_stacked=True,
        ),
        Panel(
            "Underruns",
            "Times a minute of audio that a stream came late for its player. Above one: too many share the engine; "
            "lower XTTS_MAX_SLOTS or add replicas.",
            Unit.PER_MINUTE,
            (Query(_underruns_a_minute(source, COUNTED), "underruns"),),
            bad=1,
        ),
    )
