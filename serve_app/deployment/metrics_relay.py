"""Ray's metrics of this machine, on the address that the settings name: Ray's own port listens where Ray does."""

import socket
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

TIMEOUT_S = 10.0


@contextmanager
def relayed_metrics(host: str, port: int, ray_port: int) -> Generator[None]:
    """Answers `GET /metrics` on `host:port` as Ray does on 127.0.0.1:`ray_port`; other paths get 404."""
    source = f"http://127.0.0.1:{ray_port}/metrics"

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.split("?")[0] != "/metrics":
                self.send_error(404)
                return
            try:
                with urllib.request.urlopen(source, timeout=TIMEOUT_S) as answer:
                    kind, body = answer.headers["content-type"], answer.read()
            except OSError as error:
                self.send_error(503, f"Ray's metrics cannot be read: {error}")
                return
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: it is asked every few seconds."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

    server = Server((host, port), Relay)
    thread = Thread(target=server.serve_forever, name="metrics-relay", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
