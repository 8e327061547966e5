"""A span for each request and one for each of its stages, in OpenTelemetry's terms; off by default.

They are made when a request is over, from its record: nothing is traced on the way, and nothing waits for a collector.
"""

import time
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

STAGES = ("text", "voice", "synthesis")  # one after another; `queue` is the first part of the last

Attributes = Mapping[str, str | int | float]


class RequestTracer:
    """Exports in batches from a thread of its own, to where OpenTelemetry's own variables say.

    Those are OTEL_EXPORTER_OTLP_ENDPOINT (http://localhost:4318 where it is not set), OTEL_SERVICE_NAME, and so on.
    """

    def __init__(self, processor: SpanProcessor | None = None) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": "xtts-serve"}))
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("serve_app")
        self._propagator = TraceContextTextMapPropagator()

    def record(
        self, name: str, headers: Mapping[str, str], total_s: float, stages_s: Mapping[str, float], facts: Attributes
    ) -> None:
        """A request that is over now. `headers`: in them a client may say which trace it belongs to (`traceparent`)."""
        end_ns = time.time_ns()
        start_ns = end_ns - round(total_s * 1e9)
        parent = self._propagator.extract(headers)
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes=dict(facts), start_time=start_ns)
        if int(facts.get("http.response.status_code", 0)) >= 500 or facts.get("xtts.code") == "truncated":
            span.set_status(Status(StatusCode.ERROR, str(facts.get("xtts.code", ""))))
        inside, at_ns = set_span_in_context(span), start_ns
        for stage in STAGES:
            if stage in stages_s:
                self._stage(stage, inside, at_ns, stages_s[stage])
                if stage == "synthesis" and "queue" in stages_s:
                    self._stage("queue", inside, at_ns, stages_s["queue"])
                at_ns += round(stages_s[stage] * 1e9)
        span.end(end_ns)

    def _stage(self, name: str, context: Context, start_ns: int, seconds: float) -> None:
        span = self._tracer.start_span(name, context, start_time=start_ns)
        span.end(start_ns + round(seconds * 1e9))

    def close(self) -> None:
        """Exports what is left."""
        self._provider.shutdown()
