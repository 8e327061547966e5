"""Speaks the utterances of one connection, one after the other, and sends what there is to hear and to know of each."""

import asyncio
import base64
import time
from contextlib import aclosing

from starlette.datastructures import Headers

from serve_app.api.deps import ApiState
from serve_app.api.errors import fields_named
from serve_app.api.observation import CANCELLED, CLIENT_LEFT, WEBSOCKET, Observation, Records
from serve_app.api.outbox import Outbox
from serve_app.api.piecewise import PiecewiseSpeech
from serve_app.api.stream_messages import (
    ROUTE,
    Event,
    audio_event,
    cancelled_event,
    done_event,
    error_event,
    sentence_event,
    started_event,
)
from serve_app.api.utterance import Utterance
from serve_app.api.utterance_queue import UtteranceQueue
from serve_app.api.voice_access import VoiceAccess
from serve_app.audio.encoders import encoder_for
from serve_app.errors import ServiceError
from serve_app.speech.request import ServiceStatus


class Conductor:
    """Of one connection. `handshake` is its own record, `headers` are its client's."""

    def __init__(
        self,
        state: ApiState,
        facts: ServiceStatus,
        access: VoiceAccess,
        outbox: Outbox,
        *,
        handshake: Observation,
        records: Records,
        headers: Headers,
    ) -> None:
        self._state, self._facts, self._access, self._outbox = state, facts, access, outbox
        self._handshake, self._records, self._headers = handshake, records, headers

    async def perform_all(self, queue: UtteranceQueue) -> None:
        """Until the queue has an end."""
        while (utterance := await queue.next()) is not None:
            await self._perform(utterance)
            queue.finished(utterance)

    async def _perform(self, utterance: Utterance) -> None:
        """One utterance and its last event. Its record is closed however it ends."""
        seen = Observation(self._handshake.request_id, WEBSOCKET, time.perf_counter(), status=200)
        seen.client, seen.utterance = self._handshake.client, utterance.name
        self._records.open()
        try:
            last = await self._outcome(utterance, seen)
            await self._outbox.put(last)
        except asyncio.CancelledError:
            seen.code = CLIENT_LEFT
            raise
        finally:
            self._records.close(seen, ROUTE, self._headers)

    async def _outcome(self, utterance: Utterance, seen: Observation) -> Event:
        speaking = asyncio.create_task(self._speak(utterance, seen))
        stopped = asyncio.create_task(utterance.stopped.wait())
        tasks = {speaking, stopped}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        try:
            if not speaking.cancelled():
                return speaking.result()
            if utterance.failure is not None:
                raise utterance.failure
        except ServiceError as error:
            seen.status, seen.code = error.status, error.code
            return error_event(error, utterance.name)
        seen.code = CANCELLED
        return cancelled_event(utterance.name)

    async def _speak(self, utterance: Utterance, seen: Observation) -> Event:
        """Returns the event at its end. Its audio, joined, is one file of the format asked for."""
        rate_hz = self._facts.sample_rate_hz
        encoder = encoder_for(utterance.start.response_format, rate_hz)
        started = started_event(utterance.name, utterance.start, encoder.mime_type, rate_hz, utterance.seed)
        await self._outbox.put(started)
        speech = PiecewiseSpeech(utterance, self._state, self._facts, self._access, seen)
        head, num_told = encoder.start(), 0
        with fields_named({"reference": "reference_audio_b64"}):
            async with aclosing(speech.chunks()) as chunks:
                async for chunk in chunks:
                    await self._send_audio(utterance, chunk.sentence_index, head + encoder.encode(chunk.samples))
                    head = b""
                    for index in range(num_told, len(speech.timings)):
                        await self._outbox.put(sentence_event(utterance.name, index, speech.timings[index]))
                    num_told = len(speech.timings)
            seen.summary = speech.summary()
        await self._send_audio(utterance, max(0, num_told - 1), encoder.finish())
        return done_event(utterance.name, seen.summary)

    async def _send_audio(self, utterance: Utterance, sentence_index: int, audio: bytes) -> None:
        if not audio:
            return
        event = audio_event(utterance.name, sentence_index, len(audio))
        if utterance.start.audio == "base64":
            await self._outbox.put({**event, "audio": base64.b64encode(audio).decode("ascii")})
        else:
            await self._outbox.put(event, audio)
