"""The speech of an utterance: its pieces through the backend, a few ahead of the one that is heard, as one stream."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from serve_app.api.deps import ApiState, choose_model
from serve_app.api.observation import Observation
from serve_app.api.streaming import begun_within
from serve_app.api.turns import AUTO, check_speakable, check_voices, choose_language, default_language, make_turn
from serve_app.api.utterance import Piece, Utterance
from serve_app.api.voice_access import VoiceAccess
from serve_app.audio.pcm import Recording
from serve_app.errors import EmptyText, ServiceError
from serve_app.speech.request import (
    AudioChunk,
    SentenceTiming,
    ServiceStatus,
    SpeechBackend,
    SpeechRequest,
    SpeechSummary,
    complete,
)

logger = logging.getLogger(__name__)

MAX_CHUNKS_AHEAD = 16  # of one piece: beyond it, its stream is not asked for more


class _SpokenPiece:
    """One piece on its way. It speaks from the moment it is made."""

    def __init__(self, piece: Piece, request: SpeechRequest, backend: SpeechBackend, timeout_s: float) -> None:
        self.piece, self.request = piece, request
        self.has_begun = asyncio.Event()
        self._items: asyncio.Queue[AudioChunk | ServiceError] = asyncio.Queue(MAX_CHUNKS_AHEAD)
        self.task = asyncio.create_task(self._speak(backend, timeout_s))

    async def _speak(self, backend: SpeechBackend, timeout_s: float) -> None:
        """A failure is an item, so that it is met in the text's order."""
        stream = backend.stream(self.request)
        assert isinstance(stream, AsyncGenerator), "a backend's stream can be closed early"
        try:
            async with aclosing(stream):
                async for chunk in begun_within(timeout_s, complete(stream)):
                    self.has_begun.set()
                    await self._items.put(chunk)
        except Exception as error:  # noqa: BLE001 (met where it is asked for)
            await self._items.put(_as_ours(error))
        finally:
            self.has_begun.set()

    async def chunks(self) -> AsyncGenerator[AudioChunk]:
        while True:
            item = await self._items.get()
            if isinstance(item, ServiceError):
                raise item
            yield item
            if item.is_last:
                await self.task  # which waits for the stream's own end
                return


class PiecewiseSpeech:
    """Made for one utterance. What is known of the whole grows while `chunks` is read."""

    def __init__(
        self, utterance: Utterance, state: ApiState, facts: ServiceStatus, access: VoiceAccess, seen: Observation
    ) -> None:
        self._utterance, self._state, self._facts = utterance, state, facts
        self._access, self._seen = access, seen
        self._model: str | None = None
        self._language: str | None = None
        self._reference: Recording | None = None
        self._unread = ""  # text with nothing to read aloud, such as a pause: it goes with the piece after it
        self._num_samples = 0
        self._texts: list[str] = []
        self._summaries: list[SpeechSummary] = []
        self.timings: list[SentenceTiming] = []  # of sentences that have been heard, in the utterance's time

    async def chunks(self) -> AsyncGenerator[AudioChunk]:
        """All of it in order, `sentence_index` counted through. Raises a `ServiceError`, after the audio before it."""
        ahead: asyncio.Queue[_SpokenPiece | ServiceError | None] = asyncio.Queue(1)  # one more is in its maker's hands
        spoken: list[_SpokenPiece] = []
        maker = asyncio.create_task(self._make(ahead, spoken))
        try:
            while (item := await ahead.get()) is not None:
                if isinstance(item, ServiceError):
                    raise item
                async for chunk in self._heard(item):
                    yield chunk
                spoken.remove(item)
        finally:
            tasks = [maker, *(each.task for each in spoken)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def summary(self) -> SpeechSummary:
        """Of the pieces that were heard to their end. Their stages: what the first audio waited for, and all synthesis.

        Raises `EmptyText` where there was nothing to read.
        """
        if not self._summaries:
            raise EmptyText("The text is empty; send at least one word before the end.", field="text")
        first = self._summaries[0]
        synthesis_s = sum(each.timings_s.get("synthesis", 0.0) for each in self._summaries)
        warnings = [warning for each in self._summaries for warning in each.warnings]
        if any(not char.isspace() for char in self._unread):
            warnings.append("the end of the text held nothing that can be read aloud")
        return SpeechSummary(
            duration_s=self._num_samples / self._facts.sample_rate_hz,
            num_text_tokens=sum(each.num_text_tokens for each in self._summaries),
            num_codes=sum(each.num_codes for each in self._summaries),
            sentences=tuple(self.timings),
            seed=self._utterance.seed,
            timings_s={**first.timings_s, "synthesis": synthesis_s},
            warnings=tuple(dict.fromkeys(warnings)),
        )

    async def _make(
        self, ahead: "asyncio.Queue[_SpokenPiece | ServiceError | None]", spoken: list[_SpokenPiece]
    ) -> None:
        """Begins a piece when the one before has begun to be heard: the first audio has the engine for itself."""
        timeout_s = self._state.settings.first_audio_timeout_s
        try:
            await self._prepare()
            async for piece in self._utterance.pieces():
                request = await self._request(piece)
                if request is None:
                    continue
                if spoken:
                    await spoken[-1].has_begun.wait()
                each = _SpokenPiece(piece, request, self._state.backend, timeout_s)
                spoken.append(each)
                await ahead.put(each)
            await ahead.put(None)
        except Exception as error:  # noqa: BLE001 (met where it is asked for)
            await ahead.put(_as_ours(error))

    async def _prepare(self) -> None:
        """What can be refused before there is text."""
        start = self._utterance.start
        self._model, self._facts = await choose_model(start.model, self._state)
        default = default_language(self._facts)
        if start.reference_audio_b64 is not None:
            decoded = self._state.references.decode_base64(start.reference_audio_b64, "reference_audio_b64")
            self._reference = await decoded
        if (start.language or "").strip().lower() != AUTO:
            self._language = await choose_language(start.language, "", default, self._facts)
        turn = make_turn(start, "", self._language or default, voice=start.voice, reference=self._reference)
        await check_voices([turn], self._facts, self._access)

    async def _request(self, piece: Piece) -> SpeechRequest | None:
        """None where there is nothing to read aloud yet. A language that is to be found is the first piece's."""
        start, text = self._utterance.start, self._unread + piece.text
        language = self._language or await choose_language(AUTO, text, default_language(self._facts), self._facts)
        turn = make_turn(start, text, language, voice=start.voice, reference=self._reference)
        try:
            request = await check_speakable(
                replace(start.request_of(turn, model=self._model), seed=piece.seed), self._facts, self._access
            )
        except EmptyText:
            self._unread = text + " "
            return None
        self._language, self._unread = language, ""
        return request

    async def _heard(self, spoken: _SpokenPiece) -> AsyncGenerator[AudioChunk]:
        seen, rate_hz = self._seen, self._facts.sample_rate_hz
        self._note_start(spoken)
        first_sample, first_sentence = self._num_samples, len(self.timings)
        asked_s = max(time.perf_counter(), spoken.piece.came_s)
        async with aclosing(spoken.chunks()) as chunks:
            async for chunk in chunks:
                seen.heard(len(chunk.samples) / rate_hz, asked_s, time.perf_counter())
                self._num_samples += len(chunk.samples)
                if chunk.summary is not None:
                    self._summaries.append(chunk.summary)
                    self.timings += (_later(each, first_sample / rate_hz) for each in chunk.summary.sentences)
                yield replace(chunk, sentence_index=first_sentence + chunk.sentence_index)
                asked_s = time.perf_counter()

    def _note_start(self, spoken: _SpokenPiece) -> None:
        seen, request = self._seen, spoken.request
        if not self._texts:
            seen.started_s = max(seen.started_s, spoken.piece.came_s)
        seen.playback.text_came(spoken.piece.came_s)
        self._texts.append(request.turns[0].text)
        seen.request = replace(request, turns=(replace(request.turns[0], text=" ".join(self._texts)),))


def _later(timing: SentenceTiming, by_s: float) -> SentenceTiming:
    return replace(timing, start_s=timing.start_s + by_s, end_s=timing.end_s + by_s)


def _as_ours(error: Exception) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    logger.error("an utterance failed in a way that nobody foresaw", exc_info=error)
    return ServiceError("The service failed unexpectedly; report the time to its operator.")
