"""A real client of WS /v1/audio/stream: what it sends, and what it hears of each utterance."""

import base64
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.sync.client import ClientConnection, connect

PATH = "/v1/audio/stream"
LAST = ("done", "cancelled", "error")


@dataclass
class Heard:
    """One utterance as it came."""

    events: list[dict[str, Any]] = field(default_factory=list)
    audio: bytes = b""

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def last(self) -> dict[str, Any]:
        return self.events[-1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


class Client:
    """Over an open connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, kind: str, **fields: object) -> None:
        self.connection.send(json.dumps({"type": kind, **fields}))

    def say(self, text: str, **fields: object) -> None:
        """A whole utterance at once."""
        self.send("start", **fields)
        self.send("text", text=text)
        self.send("end")

    def next(self, timeout_s: float = 60.0) -> tuple[dict[str, Any], bytes]:
        """The next event, and its audio where it has any."""
        data = self.connection.recv(timeout=timeout_s)
        assert isinstance(data, str), "audio came unannounced"
        event = json.loads(data)
        if event["type"] != "audio":
            return event, b""
        audio = base64.b64decode(event["audio"]) if "audio" in event else self.connection.recv(timeout=timeout_s)
        assert isinstance(audio, bytes) and len(audio) == event["num_bytes"] > 0
        return event, audio

    def hear(self, heard: Heard | None = None, until: tuple[str, ...] = LAST) -> Heard:
        """What comes up to an event of these types."""
        heard = heard or Heard()
        while True:
            event, audio = self.next()
            heard.events.append(event)
            heard.audio += audio
            if event["type"] in until:
                return heard


@contextmanager
def connected(url: str, path: str = PATH, **options: Any) -> Generator[Client]:
    with connect(url.replace("http", "ws", 1) + path, max_size=None, **options) as connection:
        yield Client(connection)
