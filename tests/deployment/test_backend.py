"""What a lost replica means for a request, with a handle that does as it is told."""

import asyncio
import dataclasses
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.exceptions import RayActorError
from ray.serve import context as serve_context
from ray.serve.exceptions import BackPressureError, RayServeException

from serve_app.audio.pcm import Recording
from serve_app.deployment import presence
from serve_app.deployment.backend import EngineBackend
from serve_app.deployment.gone import ReplicaFailed
from serve_app.errors import ModelUnavailable, OutOfMemory, Overloaded, ReferenceTooShort, ServiceError, Unavailable
from serve_app.speech.request import AudioChunk, ServiceStatus, SpeechRequest, one_turn
from serve_app.voices.info import PreparedVoice

REQUEST = one_turn("Hello", "en")
CHUNKS = [AudioChunk(np.full(4, value, dtype=np.float32), 0, 0) for value in (1.0, 2.0)]
Item = AudioChunk | ServiceError | Exception


class Answer:
    """A response of Ray: its items, where an exception is raised."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.is_cancelled = False

    async def __aiter__(self) -> AsyncGenerator[Any]:
        for item in self.items:
            if isinstance(item, Exception) and not isinstance(item, ServiceError):
                raise item
            yield item

    def cancel(self) -> None:
        self.is_cancelled = True


class Reply:
    """A response of Ray with one value, which goes on being made whether it is awaited or not."""

    def __init__(self, making: Coroutine[Any, Any, Any]) -> None:
        self._task = asyncio.get_running_loop().create_task(making)
        self.is_cancelled = False

    def __await__(self) -> Generator[Any, None, Any]:
        return asyncio.shield(self._task).__await__()

    def cancel(self) -> None:
        self.is_cancelled = True
        self._task.cancel()


class Handle:
    """Gives one answer after another."""

    def __init__(self, *answers: list[Item]) -> None:
        self.answers = [Answer(items) for items in answers]
        self.num_asked = self.num_asked_status = 0
        self.model_ids: list[str] = []  # that requests were sent with
        self.num_sick = 0  # replicas asked first that say they are not ready
        self.hangs = False  # too busy to say how it is
        self.delay_s = 0.0  # of what it says of itself
        self.replies: list[Reply] = []
        self.asked_for: list[tuple[str, str]] = []  # the request of each call, in Serve's logs and to cancel
        self.max_questions = 100  # at once: more are dropped by Ray
        self._num_questions = 0
        self.stream = SimpleNamespace(remote=self._stream)
        self.status = SimpleNamespace(remote=self._ask_status)

    def options(self, **options: Any) -> "Handle":
        self.model_ids += [options["multiplexed_model_id"]] if "multiplexed_model_id" in options else []
        return self

    def _stream(self, request: SpeechRequest) -> Answer:
        assert request.turns == REQUEST.turns
        self.num_asked += 1
        self._note_request()
        return self.answers[self.num_asked - 1]

    def _note_request(self) -> None:
        context = serve_context._get_serve_request_context()
        self.asked_for.append((context.request_id, context._internal_request_id))

    def _reply(self, making: Coroutine[Any, Any, Any]) -> Reply:
        self._note_request()
        self.replies.append(Reply(making))
        return self.replies[-1]

    def prepares(self, prepare: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self.prepare_voice = SimpleNamespace(remote=lambda *given: self._reply(prepare(*given)))

    def _ask_status(self, model: str | None = None) -> Reply:
        return self._reply(self._status(model))

    async def _status(self, model: str | None = None) -> Any:
        self.num_asked_status += 1
        if model == "damaged":
            return ModelUnavailable("it cannot be loaded", retry_after_s=60.0)
        if self._num_questions >= self.max_questions:
            raise BackPressureError(num_queued_requests=4, max_queued_requests=4)
        self._num_questions += 1
        await asyncio.sleep(60.0 if self.hangs else self.delay_s)
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
        ([[ReplicaFailed()]], 1),  # this request may be what broke it
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
def running(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Serve's controller counts one engine running, or as many as it is told to, whatever they answer."""
    for name in ("SILENCE_S", "FIRST_ANSWER_TIMEOUT_S", "CONTROLLER_TIMEOUT_S"):
        monkeypatch.setattr(presence, name, 0.05)

    def count(num: int) -> None:
        monkeypatch.setattr(presence, "_num_engines_running", lambda: num)

    count(1)
    return count


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


@pytest.mark.parametrize(("num_running", "is_heard"), [(0, False), (1, True)])
def test_who_meets_silence_first_queues_where_an_engine_runs(
    running: Callable[[int], None], num_running: int, is_heard: bool
) -> None:
    handle = Handle(list(CHUNKS))
    handle.hangs = True
    running(num_running)
    if is_heard:
        assert _heard(handle) == [1.0, 2.0]
        return
    with pytest.raises(Unavailable):
        _heard(handle)
    assert handle.num_asked == 0


@pytest.mark.parametrize(
    ("num_running", "unnoticed_s", "is_heard"),
    [
        (1, 60.0, False),  # it may be the lost one
        (2, 60.0, True),
        (1, 0.0, True),  # the controller knows of the loss by now: another one
    ],
)
@pytest.mark.parametrize("loss", [RayActorError(), ReplicaFailed()])
def test_silence_after_a_loss(
    running: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    num_running: int,
    unnoticed_s: float,
    is_heard: bool,
    loss: Exception,
) -> None:
    monkeypatch.setattr(presence, "LOSS_UNNOTICED_S", unnoticed_s)
    running(num_running)
    handle = Handle([CHUNKS[0], loss], list(CHUNKS))

    async def ask() -> None:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        with pytest.raises(Unavailable):
            [chunk async for chunk in backend.stream(REQUEST)]  # is lost while it is heard
        handle.hangs = True
        if is_heard:
            assert (await backend.status()).is_ready
            assert [chunk async for chunk in backend.stream(REQUEST)] == CHUNKS
            return
        for ask in (backend.status(), anext(backend.stream(REQUEST))):
            with pytest.raises(Unavailable):
                await ask

    asyncio.run(ask())
    assert handle.num_asked == 1 + is_heard


@pytest.mark.parametrize("raises", [False, True])
def test_silence_while_the_controller_is_away_changes_nothing(
    running: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, raises: bool
) -> None:
    """And takes one thread however long it lasts."""
    running(1)
    is_back, num_asked = threading.Event(), 0

    def ask_controller() -> int:
        nonlocal num_asked
        num_asked += 1
        if raises:
            raise RayServeException("it is away")
        is_back.wait(10.0)
        return 1

    monkeypatch.setattr(presence, "_num_engines_running", ask_controller)

    async def ask() -> None:
        handle = Handle(list(CHUNKS))
        backend, stranger = EngineBackend(handle), EngineBackend(handle)  # type: ignore[arg-type]
        await backend.status()
        handle.hangs = True
        for _ in range(3):
            assert (await backend.status()).is_ready
        assert num_asked == (3 if raises else 1)
        assert [chunk async for chunk in backend.stream(REQUEST)] == CHUNKS
        with pytest.raises(Unavailable):
            await anext(stranger.stream(REQUEST))
        is_back.set()

    asyncio.run(ask())


@pytest.mark.usefixtures("running")
def test_replica_that_had_no_memory_for_a_request_is_not_lost() -> None:
    handle = Handle([OutOfMemory("no memory", retry_after_s=1.0)], list(CHUNKS))

    async def ask() -> None:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        with pytest.raises(OutOfMemory):
            [chunk async for chunk in backend.stream(REQUEST)]
        handle.hangs = True
        assert [chunk async for chunk in backend.stream(REQUEST)] == CHUNKS

    asyncio.run(ask())


def test_serve_knows_each_call_as_one_of_its_own() -> None:
    """Else it would be cancelled before the request's own task is, and a question that others wait for with it."""
    handle = Handle(list(CHUNKS))

    async def prepare(recordings: list[Recording], is_style: bool) -> PreparedVoice:
        return PREPARED

    async def ask() -> None:
        own = serve_context._RequestContext(request_id="abc", _internal_request_id="mine")
        serve_context._serve_request_context.set(own)
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        handle.prepares(prepare)
        assert (await backend.status()).is_ready
        assert [chunk async for chunk in backend.stream(REQUEST)] == CHUNKS
        assert await backend.prepare_voice(RECORDINGS, is_style=True) is PREPARED
        assert serve_context._get_serve_request_context() is own

    asyncio.run(ask())
    assert [request for request, _ in handle.asked_for] == ["abc"] * 3  # in its logs they are the request's
    assert len({internal for _, internal in handle.asked_for} - {"", "mine"}) == 3


def test_who_leaves_cancels_what_was_asked() -> None:
    handle = Handle(list(CHUNKS))

    async def prepare(recordings: list[Recording], is_style: bool) -> PreparedVoice:
        await asyncio.sleep(60.0)
        return PREPARED

    async def ask() -> None:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        handle.prepares(prepare)
        async with aclosing(backend.stream(REQUEST)) as chunks:
            await anext(chunks)
        assert handle.answers[0].is_cancelled
        asking = asyncio.create_task(backend.prepare_voice(RECORDINGS, is_style=True))
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert handle.replies[-1].is_cancelled

    asyncio.run(ask())


@pytest.mark.usefixtures("running")
def test_facts_at_first_contact_wait_for_their_turn_in_a_busy_engines_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question keeps its place in the queue, whoever else comes and goes."""
    monkeypatch.setattr(presence, "FIRST_ANSWER_TIMEOUT_S", 5.0)
    handle = Handle()
    handle.delay_s = 0.3

    async def ask() -> None:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        statuses = await asyncio.gather(*(backend.status() for _ in range(3)))
        assert all(status.is_ready for status in statuses)

    asyncio.run(ask())
    assert handle.num_asked_status == 1


@pytest.mark.parametrize("is_by_speech", [False, True])
def test_an_answer_ends_a_loss(running: Callable[[int], None], is_by_speech: bool) -> None:
    """Whoever answered is there: that another was lost is no reason to refuse what this one is too busy for."""
    handle = Handle([RayActorError()], list(CHUNKS), list(CHUNKS))

    async def ask() -> None:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        assert (await backend.status()).is_ready
        running(2)
        handle.hangs = is_by_speech
        assert [chunk async for chunk in backend.stream(REQUEST)] == CHUNKS  # at the second try
        running(1)
        handle.hangs = True
        assert (await backend.status()).is_ready
        assert [chunk async for chunk in backend.stream(REQUEST)] == CHUNKS

    asyncio.run(ask())


@pytest.mark.usefixtures("running")
def test_loss_that_is_met_late_is_the_loss_that_is_known() -> None:
    """As by a client that reads slowly: since then another engine has answered."""
    handle = Handle([CHUNKS[0], RayActorError()], [CHUNKS[0], RayActorError()], list(CHUNKS))

    async def ask() -> None:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        slow, quick = backend.stream(REQUEST), backend.stream(REQUEST)
        for stream in (slow, quick):
            await anext(stream)
        with pytest.raises(Unavailable):
            await anext(quick)
        assert (await backend.status()).is_ready
        handle.hangs = True
        with pytest.raises(Unavailable):
            await anext(slow)
        assert [chunk async for chunk in backend.stream(REQUEST)] == CHUNKS

    asyncio.run(ask())


@pytest.mark.usefixtures("running")
def test_question_that_the_lost_engine_was_asked_holds_nobody_up() -> None:
    handle = Handle([CHUNKS[0], RayActorError()], list(CHUNKS))

    async def ask() -> None:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        stream = backend.stream(REQUEST)
        await anext(stream)
        handle.hangs = True
        assert (await backend.status()).is_ready  # what was said last: the question stays
        with pytest.raises(Unavailable):
            await anext(stream)
        handle.hangs = False
        assert [chunk async for chunk in backend.stream(REQUEST)] == CHUNKS

    asyncio.run(ask())


@pytest.mark.usefixtures("running")
def test_sick_answer_is_not_remembered() -> None:
    handle = Handle()

    async def ask() -> None:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        assert (await backend.status()).is_ready
        handle.num_sick = handle.num_asked_status + presence.STATUS_TRIES
        assert not (await backend.status()).is_ready
        handle.hangs = True
        assert (await backend.status()).is_ready

    asyncio.run(ask())


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

    handle.prepares(prepare)
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
