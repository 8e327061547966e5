"""Every metric of the service, and how it is recorded. Who exports them is chosen where a process starts.

Names here are bare: Prometheus' own client adds `_total` to counters, and Ray's exporter `ray_` in front besides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Metric:
    """`buckets`: upper bounds of a histogram, in the metric's unit."""

    kind: Kind
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


# Round what a listener notices (0.2 to 1 s to the first audio) and what makes a live stream stutter (a factor of 1).
_LATENCY_S = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 180.0)
_FACTORS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 4.0, 8.0)
_STEP_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
_ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0, 256.0)

# Recorded where HTTP is served.
REQUESTS = Metric(
    Kind.COUNTER,
    "xtts_requests",
    "Requests that are over, by route, HTTP status and code: ok, client_left, cancelled, truncated, or the error's own",
    ("route", "status", "code"),
)
REQUESTS_OPEN = Metric(Kind.GAUGE, "xtts_requests_open", "Requests that are being answered")
FIRST_AUDIO = Metric(
    Kind.HISTOGRAM, "xtts_first_audio_seconds", "From a request's arrival to its first audio", ("route",), _LATENCY_S
)
REQUEST_SECONDS = Metric(
    Kind.HISTOGRAM, "xtts_request_seconds", "From a request's arrival to its end", ("route",), _LATENCY_S
)
REAL_TIME_FACTOR = Metric(
    Kind.HISTOGRAM,
    "xtts_real_time_factor",
    "Seconds to answer a request, by second of its audio",
    ("route",),
    _FACTORS,
)
AUDIO_SECONDS = Metric(Kind.COUNTER, "xtts_audio_seconds", "Seconds of audio handed to clients", ("route",))
UNDERRUNS = Metric(
    Kind.COUNTER, "xtts_underruns", "Times a stream came later than a player at normal speed would have needed it"
)
LARGEST_GAP = Metric(
    Kind.HISTOGRAM,
    "xtts_largest_gap_seconds",
    "Longest wait for a chunk of a stream, after its first audio",
    ("route",),
    _LATENCY_S,
)
STAGE_SECONDS = Metric(
    Kind.HISTOGRAM,
    "xtts_stage_seconds",
    "Seconds of a request's stages: text, voice, queue, synthesis",
    ("stage",),
    _LATENCY_S,
)

JOBS = Metric(Kind.COUNTER, "xtts_jobs", "Jobs that are over: done, failed or cancelled", ("outcome",))
JOB_PARTS = Metric(
    Kind.COUNTER,
    "xtts_job_parts",
    "Tries to speak a part of a job: spoken, delayed (the service was busy or away; it is tried again) or failed",
    ("outcome",),
)
JOBS_OPEN = Metric(Kind.GAUGE, "xtts_jobs_open", "Jobs that wait or are spoken, as an HTTP process sees them")

# Recorded where the engine runs.
SLOTS = Metric(Kind.GAUGE, "xtts_slots", "Sentences that can be decoded at once")
SLOTS_USED = Metric(Kind.GAUGE, "xtts_slots_used", "Sentences being decoded")
SENTENCES_WAITING = Metric(Kind.GAUGE, "xtts_sentences_waiting", "Sentences waiting for a slot")
OLDEST_WAIT = Metric(Kind.GAUGE, "xtts_oldest_wait_seconds", "How long the sentence has waited that waits longest")
BATCH_ROWS = Metric(Kind.HISTOGRAM, "xtts_batch_rows", "Sentences decoded together in a step", (), _ROWS)
STEP_SECONDS = Metric(
    Kind.HISTOGRAM, "xtts_step_seconds", "Seconds of a step's phases: prefill, decode, render", ("phase",), _STEP_S
)
CODES = Metric(Kind.COUNTER, "xtts_codes", "Audio codes decoded")
MADE_SECONDS = Metric(Kind.COUNTER, "xtts_made_seconds", "Seconds of audio that the vocoder made")
SENTENCES = Metric(Kind.COUNTER, "xtts_sentences", "Sentences that are over: finished, failed or aborted", ("outcome",))
GUARDS = Metric(
    Kind.COUNTER,
    "xtts_guards",
    "Sentences that a guard met: ceiling (no end in sight), loop (in circles), not_finite (no numbers), out_of_memory",
    ("guard",),
)
MENDED = Metric(
    Kind.COUNTER,
    "xtts_mended_sentences",
    "Sentences that were mended: retry (spoken anew after a guard met them), silence (a long one was cut short)",
    ("by",),
)
OUT_OF_MEMORY = Metric(
    Kind.COUNTER,
    "xtts_out_of_memory",
    "Times a step's phase found no memory on the device, and went on with less",
    ("phase",),
)
GPU_MEMORY = Metric(Kind.GAUGE, "xtts_gpu_memory_bytes", "Memory of the replica's GPU")
GPU_MEMORY_USED = Metric(Kind.GAUGE, "xtts_gpu_memory_used_bytes", "Memory of the replica's GPU that anyone uses")
GPU_MEMORY_RESERVED = Metric(
    Kind.GAUGE, "xtts_gpu_memory_reserved_bytes", "Memory of the replica's GPU that the replica itself has taken"
)
GPU_USE = Metric(Kind.GAUGE, "xtts_gpu_use", "Share of the last second in which the replica's GPU computed, 0 to 1")
MODELS_LOADED = Metric(Kind.GAUGE, "xtts_models_loaded", "Models that are loaded")
MODELS_BYTES = Metric(Kind.GAUGE, "xtts_models_bytes", "Memory that the loaded models take together, as measured")
MODEL_LOADS = Metric(
    Kind.COUNTER, "xtts_model_loads", "Models loaded after the start: loaded or failed", ("model", "outcome")
)
MODEL_LOAD_SECONDS = Metric(
    Kind.HISTOGRAM, "xtts_model_load_seconds", "From a model's turn to load until it can speak", (), _LATENCY_S
)
MODEL_EVICTIONS = Metric(
    Kind.COUNTER, "xtts_model_evictions", "Models closed because another one needed their memory", ("model",)
)
VOICES = Metric(
    Kind.COUNTER,
    "xtts_voices",
    "References asked for, by where their voice was found: memory, disk (or object store), encoded",
    ("found",),
)

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


class Exporter(Protocol):
    """Thread-safe. `labels` are exactly those of the metric."""

    def add(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None: ...

    def set(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None: ...

    def observe(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None: ...


class Metrics:
    """What rooms record with. Without an exporter nothing is kept."""

    def __init__(self, exporter: Exporter | None = None) -> None:
        self._exporter = exporter

    @property
    def exporter(self) -> Exporter | None:
        return self._exporter

    def add(self, metric: Metric, value: float = 1.0, **labels: str) -> None:
        """To a counter."""
        assert metric.kind is Kind.COUNTER
        if self._exporter is not None:
            self._exporter.add(metric, value, labels)

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        """A gauge."""
        assert metric.kind is Kind.GAUGE
        if self._exporter is not None:
            self._exporter.set(metric, value, labels)

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """In a histogram."""
        assert metric.kind is Kind.HISTOGRAM
        if self._exporter is not None:
            self._exporter.observe(metric, value, labels)


NOT_RECORDED = Metrics()


class PrometheusExporter:
    """One process that is scraped itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in ALL:
            match metric.kind:
                case Kind.COUNTER:
                    self._counters[metric.name] = Counter(metric.name, metric.help, metric.labels, registry=registry)
                case Kind.GAUGE:
                    self._gauges[metric.name] = Gauge(metric.name, metric.help, metric.labels, registry=registry)
                case Kind.HISTOGRAM:
                    self._histograms[metric.name] = Histogram(
                        metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=registry
                    )

    def add(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        counter = self._counters[metric.name]
        (counter.labels(**labels) if metric.labels else counter).inc(value)

    def set(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        gauge = self._gauges[metric.name]
        (gauge.labels(**labels) if metric.labels else gauge).set(value)

    def observe(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        histogram = self._histograms[metric.name]
        (histogram.labels(**labels) if metric.labels else histogram).observe(value)
