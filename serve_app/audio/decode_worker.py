"""The child that decodes uploads: `python -m serve_app.audio.decode_worker MAX_BYTES_OF_MEMORY`.

Reads requests on stdin and answers on stdout, one after another until stdin ends: a line of JSON, then as many bytes as
it says. libsndfile and its codecs are C, and what they parse comes from strangers; here their crash costs this child.
"""

import json
import resource
import sys
from typing import BinaryIO

import numpy as np

from serve_app.audio.decode import decode_recording
from serve_app.errors import InvalidAudio, RequestError


def main() -> None:
    max_memory_bytes = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (max_memory_bytes, max_memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while line := requests.readline():
        request = json.loads(line)
        header, payload = _decode(requests.read(request["num_bytes"]), request["max_bytes"], request["field"])
        _send(answers, header, payload)


def _decode(data: bytes, max_bytes: int, field: str) -> tuple[dict[str, object], bytes]:
    try:
        recording = decode_recording(data, max_bytes=max_bytes, field=field)
    except RequestError as error:
        return {"code": error.code, "message": error.message, "field": error.field, "num_bytes": 0}, b""
    except MemoryError:
        message = "decoding the audio takes too much memory; send 10 to 15 seconds of speech as WAV"
        return {"code": InvalidAudio.code, "message": message, "field": field, "num_bytes": 0}, b""
    payload = np.ascontiguousarray(recording.samples, dtype="<f4").tobytes()
    return {"sample_rate_hz": recording.sample_rate_hz, "num_bytes": len(payload)}, payload


def _send(stream: BinaryIO, header: dict[str, object], payload: bytes) -> None:
    stream.write(json.dumps(header).encode() + b"\n")
    stream.write(payload)
    stream.flush()


if __name__ == "__main__":
    main()
