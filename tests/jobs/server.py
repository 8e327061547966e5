"""A server over the fake in a process of its own, which notes each request in `spoken.log` beside its jobs.

python -m tests.jobs.server PORT DIRECTORY CHUNK_DELAY_S
"""

import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import uvicorn

from serve_app.api.app import create_app
from serve_app.settings import Settings
from serve_app.speech.request import AudioChunk, SpeechRequest
from tests.fakes import FakeBackend


class NotingBackend(FakeBackend):
    """Notes seeds, which are one for each part."""

    log = Path()

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        with self.log.open("a") as file:
            file.write(f"{request.seed}\n")
        async for chunk in super().stream(request):
            yield chunk


if __name__ == "__main__":
    port, directory, chunk_delay_s = sys.argv[1:]
    backend = NotingBackend()
    backend.configure(chunk_delay_s=float(chunk_delay_s))
    NotingBackend.log = Path(directory) / "spoken.log"
    NotingBackend.log.parent.mkdir(parents=True, exist_ok=True)
    app = create_app(backend, Settings(job_dir=Path(directory)))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="critical")
