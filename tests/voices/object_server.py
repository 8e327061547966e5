"""A server that speaks as much of S3 as voices need, and misbehaves when it is told to."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ACCESS_KEY_ID, SECRET_ACCESS_KEY = "AKIDEXAMPLE", "wJalrXUtnFEMI"
TOLD = f"<Error><AWSAccessKeyId>{ACCESS_KEY_ID}</AWSAccessKeyId></Error>".encode()  # as S3 does with a wrong signature
TOO_LARGE_BYTES = 17 * 1024 * 1024


class ObjectServer(ThreadingHTTPServer):
    """`objects` by their path. `trouble` says how requests are answered: "" as they should be, or a status, `hangs`,
    `cuts`, `babbles` or `huge`; `put_trouble` the same for writes alone, if it is not None."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.trouble = ""
        self.put_trouble: str | None = None
        self.may_go_on = threading.Event()  # ends what hangs
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def running(self) -> Generator["ObjectServer"]:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.may_go_on.set()
            self.shutdown()
            thread.join()
            self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of clients that give up."""

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "NO_PROXY": "127.0.0.1",
        }


class _Handler(BaseHTTPRequestHandler):
    server: ObjectServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self._is_trouble(self.server.trouble):
            return
        data = self.server.objects.get(self.path)
        if data is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        elif self.server.trouble == "cuts":
            self._answer(200, data[: len(data) // 2], len(data))
            self.close_connection = True
        else:
            self._answer(200, data)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["content-length"]))
        if not self._is_trouble(self.server.trouble if self.server.put_trouble is None else self.server.put_trouble):
            self.server.objects[self.path] = data
            self._answer(200)

    def _is_trouble(self, trouble: str) -> bool:
        self.server.requests.append(self.command)
        if trouble.isdecimal():
            self._answer(int(trouble), TOLD)
        elif trouble == "huge":
            self._answer(200, b"", TOO_LARGE_BYTES)
        elif trouble == "hangs":
            self.server.may_go_on.wait(60)
        elif trouble == "babbles":
            self.wfile.write(b"\x16\x03 this is no HTTP\r\n\r\n")
        else:
            return False
        self.close_connection = True
        return True

    def _answer(self, status: int, body: bytes = b"", num_bytes: int | None = None) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body) if num_bytes is None else num_bytes))
        self.send_header("etag", '"1"')
        self.send_header("last-modified", "Thu, 26 Nov 2026 10:00:00 GMT")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass
