"""A user over the WebSocket: writes word by word, as a language model does, and listens meanwhile."""

import json
import math
import time
from dataclasses import replace
from typing import Any

import gevent
from locust import task
from websocket import WebSocket, WebSocketBadStatusException, WebSocketException, create_connection

from loadtest.judgement import REQUEST_ID
from loadtest.users.base import SpeakingUser
from loadtest.wire import Answer, End
from loadtest.workload.request import Request, Way

ROUTE = "/v1/audio/stream"
WORD_PERIOD_S = 0.03  # some thirty tokens a second
STATUS_OF_CODE = {"overloaded": 429, "rate_limited": 429, "unavailable": 503}


class WebSocketUser(SpeakingUser):
    """First audio is timed from the first word on."""

    kind, weight = "websocket", 2

    @task
    def ask(self) -> None:
        request = replace(self.workload.next(), way=Way.STREAM)
        request_id = self.request_id()
        answer = Answer(sent_s=time.monotonic(), headers={REQUEST_ID: request_id})
        try:
            with gevent.Timeout(self.options.deadline):
                _converse(self._connected(), request, answer)
        except gevent.Timeout:
            answer.end = End.HUNG
        except WebSocketBadStatusException as refusal:
            answer.status, answer.end = refusal.status_code, End.COMPLETE
            answer.headers |= {name.lower(): value for name, value in (refusal.resp_headers or {}).items()}
            answer.body += refusal.resp_body or b""
        except (OSError, WebSocketException):
            answer.end = End.CUT if answer.status else End.NO_ANSWER
        answer.ended_s = time.monotonic()
        self.hear(request, answer, answer.sent_s, request_id)

    def _connected(self) -> WebSocket:
        url = "ws" + self.host.removeprefix("http").rstrip("/") + ROUTE
        key = self.options.api_key
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return create_connection(url, timeout=self.options.deadline, header=headers, suppress_origin=True)


def _converse(connection: WebSocket, request: Request, answer: Answer) -> None:
    writer = gevent.spawn(_write, connection, request)
    try:
        _listen(connection, answer)
    finally:
        writer.kill()
        connection.close(timeout=1)


def _write(connection: WebSocket, request: Request) -> None:
    connection.send(json.dumps({"type": "start", **request.start()}))
    for word in request.text.text.split(" "):
        connection.send(json.dumps({"type": "text", "text": word + " "}))
        gevent.sleep(WORD_PERIOD_S)
    connection.send(json.dumps({"type": "end"}))


def _listen(connection: WebSocket, answer: Answer) -> None:
    while True:
        message = connection.recv()
        if isinstance(message, bytes):
            answer.status = 200
            answer.body += message
            answer.reads.append((time.monotonic(), len(answer.body)))
            continue
        event = json.loads(message)
        if event["type"] == "done":
            answer.status, answer.end = 200, End.COMPLETE
            return
        if event["type"] == "error":
            _fail(event, answer)
            return


def _fail(event: dict[str, Any], answer: Answer) -> None:
    """As the same error over HTTP would look: after the first audio the speech is cut."""
    if answer.reads:
        answer.end = End.CUT
        return
    answer.status, answer.end = STATUS_OF_CODE.get(event["error"]["code"], 500), End.COMPLETE
    answer.body += json.dumps({"error": event["error"]}).encode()
    if (retry_after_s := event.get("retry_after_s")) is not None:
        answer.headers["retry-after"] = str(max(1, math.ceil(retry_after_s)))
