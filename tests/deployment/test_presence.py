"""What silence means, of a busy engine and after a loss, and how often one is asked."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from ray.exceptions import RayActorError
from ray.serve.exceptions import RayServeException

from serve_app.deployment import presence
from serve_app.deployment.backend import EngineBackend
from serve_app.deployment.gone import ReplicaFailed
from serve_app.errors import OutOfMemory, Overloaded, Unavailable
from serve_app.speech.request import AudioChunk
from tests.deployment.handles import CHUNKS, REQUEST, Handle, heard


@pytest.mark.parametrize(("num_sick", "is_ready"), [(0, True), (1, True), (2, True), (3, False)])
def test_one_sick_replica_does_not_make_the_service_unready(num_sick: int, is_ready: bool) -> None:
    handle = Handle()
    handle.num_sick = num_sick
    status = asyncio.run(EngineBackend(handle).status())  # type: ignore[arg-type]
    assert status.is_ready is is_ready


def test_lost_replica_that_is_asked_first_does_not_make_the_service_unready() -> None:
    handle = Handle()
    handle.num_lost = presence.STATUS_TRIES - 1
    assert asyncio.run(EngineBackend(handle).status()).is_ready  # type: ignore[arg-type]
    handle.num_lost = handle.num_asked_status + presence.STATUS_TRIES
    with pytest.raises(Unavailable):
        asyncio.run(EngineBackend(handle).status())  # type: ignore[arg-type]


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
        assert heard(handle) == [1.0, 2.0]
        return
    with pytest.raises(Unavailable):
        heard(handle)
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
def test_question_that_nobody_answers_gives_its_place_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "QUESTION_TIMEOUT_S", 0.08)
    handle = Handle()
    handle.hangs = True

    async def ask() -> None:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        with pytest.raises(Overloaded):
            await backend.status()
        assert handle.replies[0].is_cancelled
        handle.hangs = False
        assert (await backend.status()).is_ready

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


def test_crowd_asks_once_what_a_model_is() -> None:
    handle = Handle()
    handle.max_questions = 1

    async def ask() -> None:
        backend = EngineBackend(handle)  # type: ignore[arg-type]
        await asyncio.gather(*(backend.status("anna") for _ in range(20)))

    asyncio.run(ask())
    assert handle.num_asked_status == 1
