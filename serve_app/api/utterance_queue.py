"""What a client's messages do: utterances begin, grow, end and are taken back, in order. Sends and speaks nothing."""

import asyncio

from serve_app.api.authentication import Visitor
from serve_app.api.connections import STOPPING
from serve_app.api.stream_messages import (
    CancelMessage,
    ClientMessage,
    EndMessage,
    Event,
    FlushMessage,
    PingMessage,
    StartMessage,
    TextMessage,
    UnfitMessage,
    error_event,
)
from serve_app.api.turns import AUTO
from serve_app.api.utterance import Utterance
from serve_app.errors import Overloaded, RequestError, ServiceError, Unavailable

MAX_UNFINISHED = 5  # the one that is spoken, and four that wait
PONG: Event = {"type": "pong"}


class UtteranceQueue:
    """Those of one connection that are not finished, the first of which is spoken."""

    def __init__(self, language: str, max_chars: int, visitor: Visitor | None) -> None:
        """`language`: of a text that names none. `visitor`: who is asked before each utterance but the first."""
        self._language, self._max_chars, self._visitor = language, max_chars, visitor
        self._unfinished: list[Utterance] = []
        self._waiting: asyncio.Queue[Utterance | None] = asyncio.Queue()
        self._written: Utterance | None = None  # that takes text now
        self._is_deaf = False  # for the rest of a text whose utterance was refused
        self._is_draining = False
        self._num_started = 0

    def handle(self, message: ClientMessage) -> Event | None:
        """What it is answered with at once, where it is."""
        match message:
            case PingMessage():
                return PONG
            case StartMessage():
                return self._start(message)
            case CancelMessage():
                self._cancel(message.utterance)
                return None
            case TextMessage() | FlushMessage() | EndMessage():
                return self._write(message)

    def refuse(self, error: UnfitMessage) -> Event:
        """The answer to a message that says nothing. A text with a hole in it is not spoken on."""
        if error.kind == "start":
            self._end_written()
            self._is_deaf = True
        if error.kind == "text" and self._written is not None and self._written.is_open:
            self._written.stop(error)
        return error_event(error, None)

    async def next(self) -> Utterance | None:
        """The next to be spoken; None when there will be no more."""
        return await self._waiting.get()

    def finished(self, utterance: Utterance) -> None:
        """It has been spoken, or is not to be."""
        utterance.stop()
        self._unfinished.remove(utterance)

    def drain(self) -> None:
        """The one that is spoken may go on; those that wait are refused, and no more are taken."""
        self._is_draining = True
        for utterance in self._unfinished[1:]:
            utterance.stop(Unavailable(STOPPING))
        self._waiting.put_nowait(None)

    def stop_all(self) -> None:
        """Nobody listens any more."""
        for utterance in self._unfinished:
            utterance.stop()

    def _start(self, message: StartMessage) -> Event | None:
        self._end_written()
        self._num_started += 1
        name = message.utterance or f"utterance-{self._num_started}"
        try:
            self._check_room(name)
        except ServiceError as error:
            self._is_deaf = True
            return error_event(error, name)
        asked = (message.language or AUTO).strip().lower()
        utterance = Utterance(name, message, self._language if asked == AUTO else asked, self._max_chars)
        self._written, self._is_deaf = utterance, False
        self._unfinished.append(utterance)
        self._waiting.put_nowait(utterance)
        return None

    def _check_room(self, name: str) -> None:
        """Raises a `ServiceError` that says why there can be no further utterance now."""
        if self._is_draining:
            raise Unavailable(STOPPING)
        if any(each.name == name for each in self._unfinished):
            raise RequestError(f"The utterance {name} is not finished; give the next another name.", field="utterance")
        if len(self._unfinished) >= MAX_UNFINISHED:
            raise Overloaded(f"{MAX_UNFINISHED} utterances are not finished; wait for one of them.")
        if self._visitor is not None and self._num_started > 1:
            self._visitor.ask_again()

    def _write(self, message: TextMessage | FlushMessage | EndMessage) -> Event | None:
        utterance = self._written
        if utterance is None and not self._is_deaf:
            return error_event(RequestError(f"There is no utterance to {message.type}; send start first."), None)
        if utterance is not None and utterance.is_open:
            try:
                _apply(message, utterance)
            except RequestError as error:
                utterance.stop(error)
        if isinstance(message, EndMessage):
            self._written, self._is_deaf = None, False
        return None

    def _end_written(self) -> None:
        if self._written is not None and self._written.is_open:
            self._written.end()
        self._written = None

    def _cancel(self, name: str | None) -> None:
        """One that is over already is not missed: the message and its last event may cross."""
        for utterance in self._unfinished:
            if name in (None, utterance.name):
                utterance.stop()


def _apply(message: TextMessage | FlushMessage | EndMessage, utterance: Utterance) -> None:
    match message:
        case TextMessage():
            utterance.write(message.text)
        case FlushMessage():
            utterance.flush()
        case EndMessage():
            utterance.end()
