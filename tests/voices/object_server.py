"""A server that speaks as much of S3 as voices need, and misbehaves when it is told to."""

import hashlib
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

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
        address = urlsplit(self.path)
        if "list-type" in address.query:
            self._answer(200, self._listing(address.path, parse_qs(address.query)))
            return
        data = self.server.objects.get(self.path)
        if data is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        elif self.server.trouble == "cuts":
            self._answer(200, data[: len(data) // 2], len(data))
            self.close_connection = True
        elif found := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["range"] or ""):
            first, last = int(found[1]), min(int(found[2]), len(data) - 1)
            self._answer(206, data[first : last + 1], content_range=f"bytes {first}-{last}/{len(data)}")
        else:
            self._answer(200, data)

    def do_HEAD(self) -> None:
        if self._is_trouble(self.server.trouble):
            return
        data = self.server.objects.get(self.path)
        self._answer(404 if data is None else 200, data or b"")

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["content-length"]))
        if self._is_trouble(self.server.trouble if self.server.put_trouble is None else self.server.put_trouble):
            return
        if self.headers["if-none-match"] == "*" and self.path in self.server.objects:
            self._answer(412)
            return
        self.server.objects[self.path] = data
        self._answer(200, etag=_etag(data))

    def do_POST(self) -> None:
        """DeleteObjects: of several at once, and so obstore asks for one too."""
        asked = self.rfile.read(int(self.headers["content-length"])).decode()
        if self._is_trouble(self.server.trouble if self.server.put_trouble is None else self.server.put_trouble):
            return
        bucket = urlsplit(self.path).path.rstrip("/")
        keys = re.findall("<Key>(.*?)</Key>", asked)
        for key in keys:
            self.server.objects.pop(f"{bucket}/{key}", None)
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def _listing(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        """ListObjectsV2, all on one page."""
        prefix = query.get("prefix", [""])[0]
        items = []
        for path, data in sorted(self.server.objects.items()):
            key = unquote(path.removeprefix(f"{bucket.rstrip('/')}/"))
            if key.startswith(prefix):
                items.append(
                    f"<Contents><Key>{key}</Key><LastModified>2026-11-26T10:00:00.000Z</LastModified>"
                    f"<ETag>{_etag(data)}</ETag><Size>{len(data)}</Size></Contents>"
                )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(items)}</ListBucketResult>".encode()

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

    def _answer(
        self,
        status: int,
        body: bytes = b"",
        num_bytes: int | None = None,
        *,
        content_range: str | None = None,
        etag: str | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body) if num_bytes is None else num_bytes))
        if content_range is not None:
            self.send_header("content-range", content_range)
        whole = self.server.objects.get(self.path, body)
        self.send_header("etag", etag or _etag(whole))
        self.send_header("last-modified", "Thu, 26 Nov 2026 10:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
