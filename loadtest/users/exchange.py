"""One HTTP request under gevent, to any host, timed to the read: the twin of `loadtest.wire` for Locust.

Locust's own clients measure a stream until its headers. This one reads all of it, on a connection of its own.
"""

import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from gevent import Timeout

from loadtest.wire import READ_BYTES, Answer, Call, End


def exchange(url: str, call: Call, deadline_s: float, leave_heard_bytes: int | None = None) -> Answer:
    """Never raises for what a server does. `leave_heard_bytes`: after which the client hangs up.

    Times are of `time.monotonic`. `url` is the service's, without a path of a route.
    """
    answer = Answer(sent_s=time.monotonic())
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port)
    try:
        with Timeout(deadline_s):
            headers = {"connection": "close", "content-type": call.content_type, **call.headers}
            connection.request(call.method, parts.path.rstrip("/") + call.path, call.body, headers)
            _read(connection, answer, leave_heard_bytes)
    except Timeout:
        answer.end = End.HUNG
    except (OSError, HTTPException):  # reset, closed early, or not HTTP
        answer.end = End.CUT if answer.status else End.NO_ANSWER
    finally:
        answer.ended_s = time.monotonic()
        connection.close()
    return answer


def _read(connection: HTTPConnection, answer: Answer, leave_heard_bytes: int | None) -> None:
    with connection.getresponse() as response:
        answer.status = response.status
        answer.headers = {name.lower(): value for name, value in response.getheaders()}
        while data := response.read1(READ_BYTES):
            answer.body += data
            answer.reads.append((time.monotonic(), len(answer.body)))
            if leave_heard_bytes is not None and len(answer.body) >= leave_heard_bytes:
                answer.end = End.LEFT
                return
        answer.end = End.CUT if response.length else End.COMPLETE  # what is left of the announced length
