"""What a lost replica means for a request, with a handle that does as it is told."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError

from serve_app.audio.pcm import Recording
from serve_app.deployment import backend as backend_module
from serve_app.deployment.backend import EngineBackend
from serve_app.errors import ModelUnavailable, Overloaded, ReferenceTooShort, ServiceError, Unavailable
from serve_app.speech.request import AudioChunk, ServiceStatus, SpeechRequest, one_turn
from serve_app.voices.info import PreparedVoice

REQUEST = one_turn("Hello", "en")
CHUNKS = [AudioChunk(np.full(4, value, dtype=np.float32), 0, 0) for value in (1.0, 2.0)]
Item = AudioChunk | ServiceError | Exception


class Answer:
    """A response of Ray: its items, where an exception is raised."""

    def __init__(self, items: list[Item]) -> None:
        self._items = items
        self.is_cancelled = False

    async def __aiter__(self) -> AsyncGenerator[Any]:
        for item in self._items:
            if isinstance(item, Exception) and not isinstance(item, ServiceError):
                raise item
            yield item

    def cancel(self) -> None:
        self.is_cancelled = True


class Handle:
    """Gives one answer after another."""

    def __init__(self, *answers: list[Item]) -> None:
        self._answers = [Answer(items) for items in answers]
        self.num_asked = self.num_asked_status = 0
        self.model_ids: list[str] = []  # that requests were sent with
        self.num_sick = 0  # replicas asked first that say they are not ready
        self.hangs = False  # too busy to say how it is
        self.max_questions = 100  # at once: more are dropped by Ray
        self._num_questions = 0
        self.stream = SimpleNamespace(remote=self._stream)
        self.status = SimpleNamespace(remote=self._status)

    def options(self, **options: Any) -> "Handle":
        self.model_ids += [options["multiplexed_model_id"]] if "multiplexed_model_id" in options else []
        return self

    def _stream(self, request: SpeechRequest) -> Answer:
        assert request.turns == REQUEST.turns
        self.num_asked += 1
        return self._answers[self.num_asked - 1]

    async def _status(self, model: str | None = None) -> Any:
        self.num_asked_status += 1
        if model == "damaged":
            return ModelUnavailable("it cannot be loaded", retry_after_s=60.0)
        if self._num_questions >= self.max_questions:
            raise BackPressureError(num_queued_requests=4, max_queued_requests=4)
        self._num_questions += 1
        await asyncio.sleep(60.0 if self.hangs else 0.0)
        self._num_questions -= 1
        return ServiceStatus(self.num_asked_status > self.num_sick, model or "fake", "cpu", ("en",))


def _heard(handle: Handle) -> list[float]:
    async def listen() -> list[float]:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        return [float(chunk.samples[0]) async for chunk in backend.stream(REQUEST)]

    return asyncio.run(listen())


def test_request_that_has_sent_nothing_goes_to_another_replica() -> None:
    handle = Handle([RayActorError()], list(CHUNKS))
    assert _heard(handle) == [1.0, 2.0]
    assert handle.num_asked == 2


@pytest.mark.parametrize(
    ("answers", "num_asked"),
    [
        ([[CHUNKS[0], RayActorError()]], 1),  # what was heard is never said again
        ([[RayActorError()], [RayActorError()]], 2),
        ([[Unavailable("its engine failed", retry_after_s=1.0)]], 1),  # this request may be what broke it
    ],
)
def test_request_is_unavailable_where_another_replica_would_not_mend_it(
    answers: list[list[Item]], num_asked: int
) -> None:
    handle = Handle(*answers)
    with pytest.raises(Unavailable) as raised:
        _heard(handle)
    assert raised.value.retry_after_s
    assert handle.num_asked == num_asked


@pytest.mark.parametrize(("num_sick", "is_ready"), [(0, True), (1, True), (2, True), (3, False)])
def test_one_sick_replica_does_not_make_the_service_unready(num_sick: int, is_ready: bool) -> None:
    handle = Handle()
    handle.num_sick = num_sick
    status = asyncio.run(EngineBackend(handle).status())  # type: ignore[arg-type]
    assert status.is_ready is is_ready


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve's controller calls the engine running, whatever it answers."""
    monkeypatch.setattr(backend_module, "STATUS_TIMEOUT_S", 0.05)
    monkeypatch.setattr(backend_module, "_is_an_engine_running", lambda: True)


@pytest.mark.usefixtures("running")
def test_probes_of_a_busy_engine_see_it_ready_and_hold_no_request_up() -> None:
    async def ask() -> None:
        handle = Handle(list(CHUNKS))
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        await backend.status()
        handle.hangs = True
        probes = [asyncio.create_task(backend.status()) for _ in range(3)]
        await asyncio.sleep(0.01)
        num_asked = handle.num_asked_status
        assert [chunk async for chunk in backend.stream(REQUEST)] == CHUNKS
        assert handle.num_asked_status == num_asked
        assert all(status.is_ready for status in await asyncio.gather(*probes))

    asyncio.run(ask())


@pytest.mark.usefixtures("running")
def test_silence_is_business_at_first_contact_and_loss_after_a_loss() -> None:
    handle = Handle([CHUNKS[0], RayActorError()])

    async def ask() -> None:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        handle.hangs = True
        with pytest.raises(Overloaded):
            [chunk async for chunk in backend.stream(REQUEST)]
        handle.hangs = False
        with pytest.raises(Unavailable):
            [chunk async for chunk in backend.stream(REQUEST)]  # is lost while it is heard
        handle.hangs = True
        with pytest.raises(Unavailable):
            [chunk async for chunk in backend.stream(REQUEST)]

    asyncio.run(ask())
    assert handle.num_asked == 1


@pytest.mark.usefixtures("running")
def test_full_queue_at_first_contact_is_business_and_no_absence() -> None:
    """Of the model's facts, too, which a first request asks for."""
    handle = Handle()
    handle.max_questions = 0

    async def ask() -> None:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        for _ in range(2):
            with pytest.raises(Overloaded):
                await backend.status()

    asyncio.run(ask())


def test_crowd_at_first_contact_asks_once() -> None:
    handle = Handle(*(list(CHUNKS) for _ in range(20)))
    handle.max_questions = 1

    async def ask() -> None:
        backend = EngineBackend(handle)  # type: ignore[arg-type]

        async def listen() -> list[AudioChunk]:
            assert (await backend.status()).is_ready  # as the first request to an ingress does
            return [chunk async for chunk in backend.stream(REQUEST)]

        assert await asyncio.gather(*(listen() for _ in range(20))) == [CHUNKS] * 20

    asyncio.run(ask())
    assert handle.num_asked_status == 1


RECORDINGS = [Recording(np.zeros(8, np.float32), 22_050)]
PREPARED = PreparedVoice(RECORDINGS[0], 1.0)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([PREPARED], PREPARED),
        ([RayActorError(), PREPARED], PREPARED),
        ([RayActorError(), RayActorError()], Unavailable),
        ([ReferenceTooShort("too short", field="audio")], ReferenceTooShort),
        ([Unavailable("its engine failed")], Unavailable),
    ],
)
def test_recordings_are_prepared_by_another_replica_where_one_is_lost(
    answers: list[PreparedVoice | Exception], expected: PreparedVoice | type[Exception]
) -> None:
    handle, asked = Handle(), []

    async def prepare(recordings: list[Recording], is_style: bool) -> PreparedVoice | ServiceError:
        asked.append((recordings, is_style))
        answer = answers[len(asked) - 1]
        if isinstance(answer, Exception) and not isinstance(answer, ServiceError):
            raise answer
        return answer

    handle.prepare_voice = SimpleNamespace(remote=prepare)  # type: ignore[attr-defined]
    ask = EngineBackend(handle).prepare_voice(RECORDINGS, is_style=True)  # type: ignore[arg-type]
    if isinstance(expected, PreparedVoice):
        assert asyncio.run(ask) is expected
    else:
        with pytest.raises(expected):
            asyncio.run(ask)
    assert asked == [(RECORDINGS, True)] * len(answers)


def test_requests_of_several_models_are_sent_by_their_names() -> None:
    async def ask(*, has_several_models: bool) -> list[str]:
        handle = Handle(list(CHUNKS), list(CHUNKS))
        backend = EngineBackend(handle, has_several_models=has_several_models)  # type: ignore[arg-type]
        for model in ("anna", None):
            request = dataclasses.replace(REQUEST, model=model)
            assert [chunk async for chunk in backend.stream(request)] == CHUNKS
        return handle.model_ids

    assert asyncio.run(ask(has_several_models=True)) == ["anna", "default"]
    assert asyncio.run(ask(has_several_models=False)) == []


def test_model_that_cannot_be_loaded_says_nothing_of_the_engine() -> None:
    handle = Handle([ModelUnavailable("it cannot be loaded")], list(CHUNKS))

    async def ask() -> None:
        backend = EngineBackend(handle, has_several_models=True)  # type: ignore[arg-type]
        with pytest.raises(ModelUnavailable):
            await backend.status("damaged")
        assert (await backend.status("anna")).model == "anna"
        with pytest.raises(ModelUnavailable):
            [chunk async for chunk in backend.stream(REQUEST)]
        num_asked = handle.num_asked_status
        assert [chunk async for chunk in backend.stream(REQUEST)] == CHUNKS
        assert handle.num_asked_status == num_asked  # the engine is known to be there

    asyncio.run(ask())


def test_crowd_asks_once_what_a_model_is() -> None:
    handle = Handle()
    handle.max_questions = 1

    async def ask() -> None:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        await asyncio.gather(*(backend.status("anna") for _ in range(20)))

    asyncio.run(ask())
    assert handle.num_asked_status == 1
