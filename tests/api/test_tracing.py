"""Spans as a collector receives them."""

import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from serve_app.api.tracing import RequestTracer
from serve_app.settings import Settings
from tests.api.conftest import Server, running

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = {"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}
FACTS = {"http.response.status_code": 200, "xtts.request_id": "abc-1", "xtts.code": "ok"}


def _spans(headers: dict[str, str], facts: dict[str, Any]) -> dict[str, ReadableSpan]:
    exporter = InMemorySpanExporter()
    tracer = RequestTracer(SimpleSpanProcessor(exporter))
    stages_s = {"text": 0.1, "voice": 0.2, "synthesis": 0.6, "queue": 0.05, "first_audio": 0.4}
    tracer.record("POST /v1/audio/speech", headers, 1.0, stages_s, facts)
    return {span.name: span for span in exporter.get_finished_spans()}


def test_request_and_its_stages_lie_in_the_clients_trace() -> None:
    spans = _spans(HEADERS, FACTS)
    request = spans.pop("POST /v1/audio/speech")
    assert set(spans) == {"text", "voice", "synthesis", "queue"}
    assert f"{request.context.trace_id:032x}" == TRACE_ID
    assert request.parent is not None and request.kind is SpanKind.SERVER
    assert request.attributes is not None and request.attributes["xtts.request_id"] == "abc-1"
    assert request.status.status_code is StatusCode.UNSET
    starts = {name: _ms(span.start_time) - _ms(request.start_time) for name, span in spans.items()}
    assert starts == {"text": 0, "voice": 100, "synthesis": 300, "queue": 300}
    for span in spans.values():
        assert span.parent is not None and span.parent.span_id == request.context.span_id
    assert _ms(spans["queue"].end_time) - _ms(spans["queue"].start_time) == 50


@pytest.mark.parametrize("facts", [{"http.response.status_code": 503}, {"xtts.code": "truncated"}])
def test_failure_is_an_error_in_the_trace(facts: dict[str, Any]) -> None:
    assert _spans({}, {**FACTS, **facts})["POST /v1/audio/speech"].status.status_code is StatusCode.ERROR


def _ms(time_ns: int | None) -> int:
    assert time_ns is not None
    return round(time_ns / 1e6)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Generator[list[ExportTraceServiceRequest]]:
    received: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        monkeypatch.setenv("XTTS_TRACES", "1")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield received
        server.shutdown()
        thread.join()


def test_service_exports_a_request_without_its_text(collector: list[ExportTraceServiceRequest]) -> None:
    with running(Settings()) as server:
        _speak(server)
        deadline_s = time.monotonic() + 10.0
        while not collector:
            assert time.monotonic() < deadline_s, "no span came"
            time.sleep(0.02)
    text = str(collector)
    assert "xtts-serve" in text and "abc-1" in text and "POST /v1/audio/speech" in text
    assert "secret" not in text
    assert "/health/live" not in text


def _speak(server: Server) -> None:
    server.client.get("/health/live")
    answer = server.client.post(
        "/v1/audio/speech", json={"input": "A secret."}, headers={**HEADERS, "x-request-id": "abc-1"}
    )
    assert answer.status_code == 200
