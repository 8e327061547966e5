"""What a lost replica means for a request, and how one is asked."""

import asyncio
import dataclasses
from contextlib import aclosing

import numpy as np
import pytest
from ray.exceptions import RayActorError
from ray.serve import context as serve_context

from serve_app.audio.pcm import Recording
from serve_app.deployment.backend import EngineBackend
from serve_app.deployment.gone import ReplicaFailed
from serve_app.errors import ModelUnavailable, ReferenceTooShort, ServiceError, Unavailable
from serve_app.voices.info import PreparedVoice
from tests.deployment.handles import CHUNKS, REQUEST, Handle, Item, heard

RECORDINGS = [Recording(np.zeros(8, np.float32), 22_050)]
PREPARED = PreparedVoice(RECORDINGS[0], 1.0)


def test_request_that_has_sent_nothing_goes_to_another_replica() -> None:
    handle = Handle([RayActorError()], list(CHUNKS))
    assert heard(handle) == [1.0, 2.0]
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
        heard(handle)
    assert raised.value.retry_after_s
    assert handle.num_asked == num_asked


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
