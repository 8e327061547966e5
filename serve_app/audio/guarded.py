"""Decoding in a child with bounds on its memory and time: a file that breaks it costs a child, not the service.

Whatever the child answers is checked as if a stranger had sent it: no pickle, and sizes before contents.
"""

import json
import logging
import os
import subprocess
import sys
import threading
import weakref
from typing import IO

import numpy as np

from serve_app.audio.decode import MAX_DECODED_FRAMES, MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from serve_app.audio.pcm import Recording
from serve_app.errors import InvalidAudio, ReferenceTooLong, RequestError, UploadTooLarge

logger = logging.getLogger(__name__)

MAX_MEMORY_BYTES = 2 << 30  # of addresses; ten minutes of stereo take half of it
MAX_DECODE_S = 10.0  # from the request to the answer; a second suffices for the largest upload
MAX_START_S = 30.0  # for the first answer, on a busy machine
MAX_LINE_BYTES = 16_384
PASSED_ON = frozenset({"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "OPENBLAS_CORETYPE"})  # no secret among them
BYTES_PER_SAMPLE = 4
ERRORS: dict[str, type[RequestError]] = {
    kind.code: kind for kind in (InvalidAudio, ReferenceTooLong, UploadTooLarge, RequestError)
}


class GuardedDecoder:
    """One child, started when it is needed and again when it broke; it ends with this object. One call at a time."""

    def __init__(self, max_decode_s: float = MAX_DECODE_S, max_memory_bytes: int = MAX_MEMORY_BYTES) -> None:
        self._max_decode_s, self._max_memory_bytes = max_decode_s, max_memory_bytes
        self._child: subprocess.Popen[bytes] | None = None
        self._has_answered = False
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of the child, where there is one."""
        return self._child.pid if self._child is not None else None

    def decode(self, data: bytes, *, max_bytes: int, field: str) -> Recording:
        """See `decode_recording`. Raises InvalidAudio as well where the child broke or took too long."""
        with self._lock:
            child = self._running_child()
            assert child.stdin is not None and child.stdout is not None
            limit_s = self._max_decode_s if self._has_answered else self._max_decode_s + MAX_START_S
            watchdog = threading.Timer(limit_s, child.kill)
            watchdog.start()
            try:
                _ask(child.stdin, data, max_bytes, field)
                recording = _answer(child.stdout)
                self._has_answered = True
                return recording
            except RequestError:
                self._has_answered = True
                raise
            except Exception as error:
                self._end_child()
                logger.warning("the decoder of uploads broke on %d bytes: %r", len(data), error)
                raise InvalidAudio(
                    "the audio breaks its decoder, or takes it too long; export it again as 16-bit WAV", field=field
                ) from error
            finally:
                watchdog.cancel()

    def close(self) -> None:
        with self._lock:
            self._end_child()

    def _running_child(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is not None:
            self._end_child()
        if self._child is None:
            command = [sys.executable, "-m", "serve_app.audio.decode_worker", str(self._max_memory_bytes)]
            environment = {name: value for name, value in os.environ.items() if name in PASSED_ON}
            environment["OPENBLAS_NUM_THREADS"] = "1"  # each thread takes addresses
            self._has_answered = False
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # codecs write what a file makes them
                env=environment,
                start_new_session=True,  # Ctrl-C is for us: running requests may finish
            )
            self._finalizer = weakref.finalize(self, _end, self._child)
        return self._child

    def _end_child(self) -> None:
        if self._child is not None:
            self._finalizer()
            self._child = None


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    child.communicate()


def _ask(stream: IO[bytes], data: bytes, max_bytes: int, field: str) -> None:
    header = {"num_bytes": len(data), "max_bytes": max_bytes, "field": field}
    stream.write(json.dumps(header).encode() + b"\n")
    stream.write(data)
    stream.flush()


def _answer(stream: IO[bytes]) -> Recording:
    """Raises the child's own RequestError; EOFError or ValueError for anything that is no answer."""
    line = stream.readline(MAX_LINE_BYTES)
    if not line.endswith(b"\n"):
        raise EOFError("no answer")
    header = json.loads(line)
    num_bytes = int(header["num_bytes"])
    if "code" in header:
        raise ERRORS[header["code"]](str(header["message"]), field=str(header["field"]))
    sample_rate_hz = int(header["sample_rate_hz"])
    is_plausible = 0 < num_bytes <= MAX_DECODED_FRAMES * BYTES_PER_SAMPLE and num_bytes % BYTES_PER_SAMPLE == 0
    if not is_plausible or not MIN_SAMPLE_RATE_HZ <= sample_rate_hz <= MAX_SAMPLE_RATE_HZ:
        raise ValueError(f"an answer of {num_bytes} bytes at {sample_rate_hz} Hz")
    payload = stream.read(num_bytes)
    if len(payload) != num_bytes:
        raise EOFError("half an answer")
    return Recording(np.frombuffer(payload, dtype="<f4").astype(np.float32, copy=False), sample_rate_hz)
