"""What is kept of each request: one record, which becomes one line of the log and the metrics of HTTP.

On a WebSocket each utterance has a record of its own, and a handshake has one where it was refused.
"""

import hashlib
import logging
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app import metrics
from serve_app.audio.pcm import Samples
from serve_app.metrics import Metrics
from serve_app.speech.request import AudioChunk, SpeechRequest, SpeechSummary, VoiceChoice

if TYPE_CHECKING:
    from serve_app.api.tracing import RequestTracer

logger = logging.getLogger("serve_app.requests")

OK, CLIENT_LEFT, TRUNCATED, UNEXPECTED = "ok", "client_left", "truncated", "internal_error"
CANCELLED = "cancelled"  # by its client, on a connection that goes on
WEBSOCKET = "WS"  # in the place of a method
SWITCHING_PROTOCOLS = 101
NO_ROUTE = "none"  # where no route matched, so that a scanner's paths make no new labels
QUIET_ROUTES = frozenset({"/health", "/health/live", "/health/ready"})  # asked every few seconds: logged if they fail
LATE_S = 0.02  # what a player's own buffer covers


@dataclass
class Playback:
    """A player that starts at the first audio and never stops by itself: how often it would have run dry, and the
    longest wait for a chunk after the first."""

    num_underruns: int = 0
    largest_gap_s: float | None = None
    _ends_s: float | None = None

    def text_came(self, at_s: float) -> None:
        """More text to speak. Where it came after the player's last sample, nobody missed audio: it starts again."""
        if self._ends_s is not None and at_s > self._ends_s:
            self._ends_s = None

    def heard(self, duration_s: float, asked_s: float, came_s: float) -> None:
        """A chunk that was asked for and came. Only waiting for us counts, not a client that reads slowly."""
        if self._ends_s is None:
            self._ends_s = came_s + duration_s
            return
        self.largest_gap_s = max(self.largest_gap_s or 0.0, came_s - asked_s)
        left_s = max(0.0, self._ends_s - asked_s)
        if came_s - asked_s > left_s + LATE_S:
            self.num_underruns += 1
        self._ends_s = max(self._ends_s, came_s) + duration_s


@dataclass
class Observation:
    """One request as it went. No text and no audio is kept."""

    request_id: str
    method: str
    started_s: float
    status: int = 0
    code: str = OK
    client: str | None = None  # the name of its API key
    utterance: str | None = None  # its name, on a WebSocket
    request: SpeechRequest | None = None
    first_audio_s: float | None = None  # after its arrival
    audio_s: float = 0.0
    playback: Playback = field(default_factory=Playback)
    summary: SpeechSummary | None = None

    async def watch(
        self, request: SpeechRequest, chunks: AsyncGenerator[AudioChunk], sample_rate_hz: int
    ) -> AsyncGenerator[AudioChunk]:
        """The same chunks."""
        self.request = request
        asked_s = time.perf_counter()
        async for chunk in chunks:
            self.heard(len(chunk.samples) / sample_rate_hz, asked_s, time.perf_counter())
            self.summary = chunk.summary or self.summary
            yield chunk
            asked_s = time.perf_counter()

    def heard(self, duration_s: float, asked_s: float, came_s: float) -> None:
        """Audio that was asked for and came."""
        if duration_s == 0.0:
            return
        if self.first_audio_s is None:
            self.first_audio_s = came_s - self.started_s
        self.audio_s += duration_s
        self.playback.heard(duration_s, asked_s, came_s)


async def get_observation(request: Request) -> Observation:
    return cast(Observation, request.state.observation)


ObservationDep = Annotated[Observation, Depends(get_observation)]


class Records:
    """Where records go: metrics, the log, and a trace where there is a tracer."""

    def __init__(self, recorder: Metrics, tracer: "RequestTracer | None" = None) -> None:
        self._metrics, self._tracer = recorder, tracer
        self._num_open = 0

    def open(self) -> None:
        """A request is being answered from now on."""
        self._count_open(1)

    def close(self, seen: Observation, route: str, headers: Headers) -> None:
        """It is over."""
        self._count_open(-1)
        total_s = time.perf_counter() - seen.started_s
        self._measure(seen, route, total_s)
        if route not in QUIET_ROUTES or seen.status >= 500:
            facts = _facts(seen, route, total_s)
            if self._tracer is not None:
                stages_s = seen.summary.timings_s if seen.summary is not None else {}
                self._tracer.record(f"{seen.method} {route}", headers, total_s, stages_s, _traced(facts))
            logger.info("%s", " ".join(f"{key}={value}" for key, value in facts.items()), extra={"facts": facts})

    def _count_open(self, change: int) -> None:
        self._num_open += change
        self._metrics.set(metrics.REQUESTS_OPEN, self._num_open)

    def _measure(self, seen: Observation, route: str, total_s: float) -> None:
        recorder = self._metrics
        recorder.add(metrics.REQUESTS, route=route, status=str(seen.status), code=seen.code)
        if seen.request is not None:
            recorder.observe(metrics.REQUEST_SECONDS, total_s, route=route)
            if seen.request.is_streaming:
                recorder.add(metrics.UNDERRUNS, seen.playback.num_underruns)
                if seen.playback.largest_gap_s is not None:
                    recorder.observe(metrics.LARGEST_GAP, seen.playback.largest_gap_s, route=route)
        if seen.first_audio_s is not None:
            recorder.observe(metrics.FIRST_AUDIO, seen.first_audio_s, route=route)
            recorder.add(metrics.AUDIO_SECONDS, seen.audio_s, route=route)
        if seen.summary is not None:
            if seen.method != WEBSOCKET:  # there the time is mostly the writer's
                recorder.observe(metrics.REAL_TIME_FACTOR, total_s / max(seen.audio_s, 1e-3), route=route)
            for stage in ("text", "voice", "queue", "synthesis"):
                recorder.observe(metrics.STAGE_SECONDS, seen.summary.timings_s.get(stage, 0.0), stage=stage)


class Observe:
    """Opens a record for each request, and closes it however the request ends."""

    def __init__(self, app: ASGIApp, *, recorder: Metrics, tracer: "RequestTracer | None" = None) -> None:
        self._app, self._records = app, Records(recorder, tracer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._connection(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _seen(self, scope: Scope, method: str) -> Observation:
        state = scope.setdefault("state", {})
        seen = Observation(state.get("request_id", ""), method, time.perf_counter())
        state["observation"] = seen
        return seen

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = self._seen(scope, scope["method"])
        is_complete = False
        self._records.open()

        async def watched_send(message: Message) -> None:
            nonlocal is_complete
            if message["type"] == "http.response.start":
                seen.status = message["status"]
            await send(message)
            is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)

        try:
            await self._app(scope, receive, watched_send)
            if not is_complete:
                seen.code = CLIENT_LEFT
        except Exception:
            seen.status, seen.code = (seen.status, TRUNCATED) if seen.status else (500, UNEXPECTED)
            raise
        except BaseException:
            seen.code = CLIENT_LEFT
            raise
        finally:
            self._records.close(seen, _route(scope), Headers(scope=scope))

    async def _connection(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A record of the handshake alone, where it was refused: what follows makes its own, in the state's records."""
        seen = self._seen(scope, WEBSOCKET)
        scope["state"]["records"] = self._records

        async def watched_send(message: Message) -> None:
            if message["type"] == "websocket.accept":
                seen.status = SWITCHING_PROTOCOLS
            elif message["type"] == "websocket.http.response.start":
                seen.status = message["status"]
            elif message["type"] == "websocket.close" and not seen.status:
                seen.status = 403  # what a server makes of it
                seen.code = "not_found" if seen.code == OK else seen.code
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception:
            if not seen.status:
                seen.status, seen.code = 500, UNEXPECTED
            raise
        finally:
            if seen.status != SWITCHING_PROTOCOLS:
                seen.code = CLIENT_LEFT if seen.code == OK else seen.code
                self._records.open()
                self._records.close(seen, _route(scope), Headers(scope=scope))


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", NO_ROUTE)


def _facts(seen: Observation, route: str, total_s: float) -> dict[str, object]:
    """One line of the log. A voice is named, or told by a hash of its reference; what was said is not."""
    facts: dict[str, object] = {
        "request_id": seen.request_id,
        "method": seen.method,
        "route": route,
        "status": seen.status,
        "code": seen.code,
        "seconds": round(total_s, 4),
    }
    if seen.client is not None:
        facts["client"] = seen.client
    if seen.utterance is not None:
        facts["utterance"] = seen.utterance
    if seen.request is not None:
        turns = seen.request.turns
        facts |= {
            "language": ",".join(dict.fromkeys(turn.language for turn in turns)),
            "num_chars": sum(len(turn.text) for turn in turns),
            "voice": ",".join(dict.fromkeys(_voice(turn.voice) for turn in turns)),
        }
        if len(turns) > 1:
            facts["turns"] = len(turns)
        if seen.request.model is not None:
            facts["model"] = seen.request.model
    if seen.first_audio_s is not None:
        facts |= {
            "first_audio_seconds": round(seen.first_audio_s, 4),
            "audio_seconds": round(seen.audio_s, 3),
            "underruns": seen.playback.num_underruns,
        }
        if seen.playback.largest_gap_s is not None:
            facts["largest_gap_seconds"] = round(seen.playback.largest_gap_s, 4)
    if seen.summary is not None:
        stages = {stage: seconds for stage, seconds in seen.summary.timings_s.items() if stage != "first_audio"}
        facts |= {f"{stage}_seconds": round(seconds, 4) for stage, seconds in stages.items()}
        facts |= {"sentences": len(seen.summary.sentences), "codes": seen.summary.num_codes}
    return facts


def _traced(facts: dict[str, object]) -> dict[str, str | int | float]:
    """The same facts under OpenTelemetry's names where it has one, under ours elsewhere."""
    names = {"method": "http.request.method", "route": "http.route", "status": "http.response.status_code"}
    return {
        names.get(name, f"xtts.{name}"): value for name, value in facts.items() if isinstance(value, str | int | float)
    }


def _voice(choice: VoiceChoice) -> str:
    return choice.name if choice.reference is None else f"reference:{_hash(choice.reference.samples)}"


def _hash(samples: Samples) -> str:
    """Twelve hexadecimal digits: enough to see that two requests bring the same recording."""
    return hashlib.blake2b(samples.tobytes(), digest_size=6).hexdigest()
