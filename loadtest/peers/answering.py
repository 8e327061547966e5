"""OpenAI's route for a library that has no server. Runs in the library's own environment: standard library only."""

import io
import json
import sys
import threading
import wave
from collections.abc import Callable
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"
Speak = Callable[[str, str], tuple[bytes, int]]  # text and language → 16-bit samples of one channel, and their rate


def answer(speak: Speak, port: int, *, is_one_at_a_time: bool) -> None:
    """Serves `POST /v1/audio/speech` as WAV, and `GET /health`, until the process is told to end."""
    turn = threading.Lock() if is_one_at_a_time else nullcontext()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(200, b'{"status":"ok"}', "application/json")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            try:
                with turn:
                    samples, rate_hz = speak(body["input"], body.get("language", "en"))
            except Exception as error:  # noqa: BLE001 (whatever the library raises is its answer)
                told = json.dumps({"error": {"message": f"{type(error).__name__}: {error}"}}).encode()
                self._send(500, told, "application/json")
                return
            self._send(200, _wav(samples, rate_hz), "audio/wav")

        def _send(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, port), Handler) as server:
        server.serve_forever()


def _wav(samples: bytes, rate_hz: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(samples)
    return file.getvalue()


def port_asked() -> int:
    """The last argument of the process."""
    return int(sys.argv[-1])
