"""Ray's metrics on an address of ours."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx

from serve_app.deployment.metrics_relay import relayed_metrics
from tests.ports import free_port


class FakeRay(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(b"ray_xtts_slots 16.0\n")

    def log_message(self, *_: object) -> None:
        pass


def test_metrics_pass_and_nothing_else_does() -> None:
    port = free_port()
    with HTTPServer(("127.0.0.1", 0), FakeRay) as ray:
        thread = threading.Thread(target=ray.serve_forever, daemon=True)
        thread.start()
        with relayed_metrics("127.0.0.1", port, ray.server_address[1]):
            answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
            assert (answer.status_code, answer.text) == (200, "ray_xtts_slots 16.0\n")
            assert answer.headers["content-type"].startswith("text/plain; version")
            assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 404
        ray.shutdown()
        thread.join()


def test_ray_that_does_not_answer_is_503() -> None:
    port = free_port()
    with relayed_metrics("127.0.0.1", port, free_port()):
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 503
