"""The shelf over services that do as they are told: who is loaded, who must go, and who is never closed."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from serve_app import metrics
from serve_app.audio.pcm import Recording
from serve_app.errors import CheckpointError, EngineFailed, ModelNotFound, ModelUnavailable, SettingsError, Unavailable
from serve_app.metrics import Metrics, PrometheusExporter
from serve_app.settings import Settings
from serve_app.shelf import model as model_module
from serve_app.shelf import shelf as shelf_module
from serve_app.shelf.opening import open_shelf
from serve_app.shelf.shelf import ModelShelf
from serve_app.speech.request import AudioChunk, ServiceLoad, ServiceStatus, SpeechRequest, one_turn
from serve_app.voices.info import PreparedVoice

EXTRA = {"anna": "source-anna", "ben": "source-ben", "cora": "source-cora"}
SIZES = {"base": 4, "source-anna": 4, "source-ben": 4, "source-cora": 9}
IN_TIME_S = 60.0  # closing a model collects garbage, which takes seconds in a process that ran all other tests


class Service:
    """Speaks until it is told to end."""

    def __init__(self, source: str, recorder: Metrics, closed: list[str]) -> None:
        self.source, self.recorder, self._closed = source, recorder, closed
        self.num_bytes = SIZES[source]
        self.num_streams, self.is_closed, self.is_healthy = 0, False, True
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        assert not self.is_closed
        self.num_streams += 1
        try:
            for start in range(3):
                yield AudioChunk(np.full(1, SIZES[self.source], np.float32), start, 0)
                await self.may_end.wait()
                assert not self.is_closed, "it was closed while it spoke"
        finally:
            self.num_streams -= 1

    async def status(self) -> ServiceStatus:
        return ServiceStatus(self.is_healthy, self.source, "cpu", ("en",))

    async def prepare_voice(self, recordings: Sequence[Recording], *, is_style: bool) -> PreparedVoice:
        return PreparedVoice(recordings[0], float(self.num_bytes))

    def load_now(self) -> ServiceLoad:
        return ServiceLoad(4, self.num_streams, 0.5 * self.num_streams)

    def check_health(self) -> None:
        if not self.is_healthy:
            raise EngineFailed("the engine died")

    async def drain(self) -> None:
        assert not self.num_streams

    def close(self) -> None:
        assert not self.num_streams and not self.is_closed
        self.is_closed = True
        self._closed.append(self.source)


class Loader:
    """Keeps what it loaded, and fails or waits where it is told to."""

    def __init__(self) -> None:
        self.loaded: list[Service] = []
        self.closed: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.may_load = threading.Event()
        self.may_load.set()
        self.num_at_once = self.most_at_once = 0

    def __call__(self, settings: Settings, progress: Callable[[str], None], recorder: Metrics) -> Service:
        self.num_at_once += 1
        self.most_at_once = max(self.most_at_once, self.num_at_once)
        try:
            assert self.may_load.wait(IN_TIME_S)
            if settings.model in self.errors:
                raise self.errors[settings.model]
            self.loaded.append(Service(settings.model, recorder, self.closed))
            return self.loaded[-1]
        finally:
            self.num_at_once -= 1

    @property
    def sources(self) -> list[str]:
        return [each.source for each in self.loaded]

    def last(self, source: str) -> Service:
        return [each for each in self.loaded if each.source == source][-1]


def describe(settings: Settings) -> ServiceStatus:
    return ServiceStatus(True, "its directory", "cpu", ("fr", settings.model))


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def opened(loader: Loader, max_bytes: int = 8, recorder: Metrics | None = None, **extra: str) -> ModelShelf:
    """With room for two models of the usual size."""
    settings = Settings(model="base", extra_models=extra or EXTRA, max_model_bytes=max_bytes)
    return open_shelf(settings, loader, print, recorder or Metrics(), describe)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, IN_TIME_S))


def request(model: str | None) -> SpeechRequest:
    return one_turn("Hello", "en", model=model)


async def hear(shelf: ModelShelf, model: str | None = None) -> int:
    """Who spoke, by the size."""
    (heard,) = {int(chunk.samples[0]) async for chunk in shelf.stream(request(model))}
    return heard


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


def test_default_model_is_loaded_at_the_start_and_another_when_asked_for(loader: Loader) -> None:
    shelf = opened(loader)
    assert loader.sources == ["base"]

    async def ask() -> None:
        assert await hear(shelf) == SIZES["base"]
        assert await hear(shelf, "anna") == SIZES["source-anna"]
        assert await hear(shelf, "anna") == SIZES["source-anna"]

    run(ask())
    assert loader.sources == ["base", "source-anna"]
    assert shelf.loaded_names == (None, "anna")


def test_least_recently_used_model_goes_and_the_default_one_last(loader: Loader) -> None:
    shelf = opened(loader, max_bytes=12)

    async def ask() -> None:
        for model in ("anna", "ben", "anna"):
            await hear(shelf, model)
        assert shelf.loaded_names == (None, "anna", "ben")
        await hear(shelf, "cora")  # takes nine: nothing else may stay

    run(ask())
    assert loader.closed == ["source-ben", "source-anna", "base"]
    assert shelf.loaded_names == ("cora",)


def test_size_measured_at_the_last_load_is_what_room_is_made_for(loader: Loader) -> None:
    shelf = opened(loader, max_bytes=13)

    async def ask() -> None:
        await hear(shelf, "cora")
        assert shelf.loaded_names == (None, "cora")
        await hear(shelf, "anna")  # four more than thirteen
        assert shelf.loaded_names == (None, "anna")

    run(ask())


def test_model_alone_may_be_larger_than_the_bound(loader: Loader) -> None:
    shelf = opened(loader, max_bytes=1)

    async def ask() -> None:
        for model in (None, "anna", None, "ben"):
            assert await hear(shelf, model) == 4
            assert len(shelf.loaded_names) == 1

    run(ask())


def test_model_that_speaks_is_never_closed_and_takes_no_newcomers_for_ever(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf_module, "PATIENCE_S", 0.02)
    shelf = opened(loader, max_bytes=4)

    async def ask() -> None:
        base = loader.last("base")
        base.may_end.clear()
        running = asyncio.create_task(hear(shelf))
        await until(lambda: base.num_streams == 1)
        other = asyncio.create_task(hear(shelf, "anna"))
        newcomer: asyncio.Task[int] | None = None
        await asyncio.sleep(0.05)  # patience is over
        newcomer = asyncio.create_task(hear(shelf))
        await asyncio.sleep(0.02)
        assert base.num_streams == 1 and not base.is_closed and loader.sources == ["base"]
        base.may_end.set()
        assert [await running, await other, await newcomer] == [4, 4, 4]

    run(ask())
    assert loader.sources == ["base", "source-anna", "base"]


def test_busy_model_takes_newcomers_again_once_nobody_waits_for_its_place(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf_module, "PATIENCE_S", 0.0)
    shelf = opened(loader, max_bytes=4)

    async def ask() -> None:
        base = loader.last("base")
        base.may_end.clear()
        running = asyncio.create_task(hear(shelf))
        await until(lambda: base.num_streams == 1)
        gone = asyncio.create_task(hear(shelf, "anna"))
        await asyncio.sleep(0.02)
        newcomer = asyncio.create_task(hear(shelf))
        await asyncio.sleep(0.02)
        assert base.num_streams == 1
        gone.cancel()
        await until(lambda: base.num_streams == 2)
        base.may_end.set()
        assert [await running, await newcomer] == [4, 4]

    run(ask())
    assert loader.sources == ["base"]


def test_crowd_for_a_model_loads_it_once_and_models_load_one_at_a_time(loader: Loader) -> None:
    shelf = opened(loader, max_bytes=100)

    async def ask() -> None:
        crowd = [hear(shelf, model) for model in ("anna", "ben", "cora") for _ in range(5)]
        assert await asyncio.gather(*crowd) == [4] * 10 + [9] * 5

    run(ask())
    assert sorted(loader.sources) == ["base", "source-anna", "source-ben", "source-cora"]
    assert loader.most_at_once == 1


def test_waiters_are_served_before_their_model_must_go_for_the_next(loader: Loader) -> None:
    shelf = opened(loader, max_bytes=1)

    async def ask() -> None:
        await asyncio.gather(*(hear(shelf, model) for model in ("anna", "ben", None) for _ in range(4)))
        await asyncio.gather(*(hear(shelf, model) for model in (None, "anna") for _ in range(4)))

    run(ask())
    assert loader.sources == ["base", "source-anna", "source-ben", "base", "source-anna"]


def test_others_speak_while_a_model_loads_and_who_leaves_does_not_stop_it(loader: Loader) -> None:
    shelf = opened(loader)

    async def ask() -> None:
        loader.may_load.clear()
        leaver, waiter = (asyncio.create_task(hear(shelf, "anna")) for _ in range(2))
        await until(lambda: loader.num_at_once == 1)
        assert await hear(shelf) == 4
        leaver.cancel()
        loader.may_load.set()
        assert await waiter == 4

    run(ask())
    assert loader.sources == ["base", "source-anna"]


@pytest.mark.parametrize("error", [CheckpointError("/secret/place is damaged"), RuntimeError("a mistake of ours")])
def test_failure_is_told_by_name_and_remembered_for_a_while(
    loader: Loader, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = opened(loader)
    loader.errors["source-anna"] = error

    async def ask() -> None:
        for _ in range(3):
            with pytest.raises(ModelUnavailable, match="'anna' cannot be loaded") as raised:
                await hear(shelf, "anna")
            assert "secret" not in raised.value.message and raised.value.retry_after_s
        assert await hear(shelf, "ben") == 4
        del loader.errors["source-anna"]  # mended, and not looked at yet
        with pytest.raises(ModelUnavailable):
            await hear(shelf, "anna")
        later_s = time.monotonic() + model_module.FAILURE_MEMORY_S
        monkeypatch.setattr(model_module, "time", SimpleNamespace(monotonic=lambda: later_s))
        assert await hear(shelf, "anna") == 4

    run(ask())


def test_unknown_model_is_not_found(loader: Loader) -> None:
    shelf = opened(loader)

    async def ask() -> None:
        with pytest.raises(ModelNotFound, match="base, anna, ben, cora"):
            await hear(shelf, "dora")
        with pytest.raises(ModelNotFound):
            await shelf.status("dora")

    run(ask())


def test_facts_of_a_model_are_known_before_it_is_loaded_and_after_it_went(loader: Loader) -> None:
    shelf = opened(loader, max_bytes=4)

    async def ask() -> None:
        status = await shelf.status("anna")
        assert (status.model, status.languages, status.is_ready) == ("anna", ("fr", "source-anna"), True)
        assert loader.sources == ["base"]
        await hear(shelf, "anna")
        assert (await shelf.status("anna")).languages == ("en",)
        assert (await shelf.status()).model == "base" and (await shelf.status()).is_ready

    run(ask())


def test_default_model_that_cannot_be_loaded_again_is_not_ready(loader: Loader) -> None:
    shelf = opened(loader, max_bytes=4)

    async def ask() -> None:
        await hear(shelf, "anna")
        loader.errors["base"] = CheckpointError("its directory is gone")
        with pytest.raises(ModelUnavailable):
            await hear(shelf)
        assert not (await shelf.status()).is_ready

    run(ask())


def test_model_whose_files_cannot_be_read_fails_alone(loader: Loader) -> None:
    def picky(settings: Settings) -> ServiceStatus:
        raise CheckpointError("no config.json")

    settings = Settings(model="base", extra_models={"anna": "source-anna"}, max_model_bytes=8)
    shelf = open_shelf(settings, loader, print, Metrics(), picky)

    async def ask() -> None:
        with pytest.raises(ModelUnavailable):
            await shelf.status("anna")
        assert await hear(shelf) == 4

    run(ask())


def test_two_models_of_one_name_are_refused(loader: Loader) -> None:
    with pytest.raises(SettingsError, match="base"):
        opened(loader, base="source-anna")


def test_load_is_of_all_models_and_slots_of_one(loader: Loader) -> None:
    shelf = opened(loader)

    async def ask() -> None:
        await hear(shelf, "anna")
        for source in ("base", "source-anna"):
            loader.last(source).may_end.clear()
        tasks = [asyncio.create_task(hear(shelf, model)) for model in (None, "anna")]
        await until(lambda: shelf.load_now().num_wanted_slots == 2)
        assert shelf.load_now() == ServiceLoad(4, 2, 0.5)
        for source in ("base", "source-anna"):
            loader.last(source).may_end.set()
        await asyncio.gather(*tasks)

    run(ask())


def test_voices_are_prepared_by_the_default_model_even_if_it_went(loader: Loader) -> None:
    shelf = opened(loader, max_bytes=4)

    async def ask() -> None:
        await hear(shelf, "cora")
        recording = Recording(np.zeros(8, np.float32), 22_050)
        assert (await shelf.prepare_voice([recording], is_style=False)).speech_s == SIZES["base"]

    run(ask())


def test_any_dead_engine_makes_the_shelf_sick(loader: Loader) -> None:
    shelf = opened(loader)
    run(_ask_anna(shelf))
    shelf.check_health()
    loader.last("source-anna").is_healthy = False
    with pytest.raises(EngineFailed):
        shelf.check_health()


async def _ask_anna(shelf: ModelShelf) -> None:
    await hear(shelf, "anna")


def test_stopping_refuses_newcomers_and_closes_all(loader: Loader) -> None:
    shelf = opened(loader)

    async def ask() -> None:
        await hear(shelf, "anna")
        await shelf.drain()
        with pytest.raises(Unavailable):
            await hear(shelf)
        shelf.close()

    run(ask())
    assert all(each.is_closed for each in loader.loaded)


def test_model_that_comes_when_the_shelf_is_closed_is_closed_too(loader: Loader) -> None:
    shelf = opened(loader)

    async def ask() -> None:
        loader.may_load.clear()
        waiter = asyncio.create_task(hear(shelf, "anna"))
        await until(lambda: loader.num_at_once == 1)
        await shelf.drain()
        shelf.close()
        loader.may_load.set()
        with pytest.raises(Unavailable):
            await waiter

    run(ask())
    assert [each.is_closed for each in loader.loaded] == [True, True]


def test_listener_who_leaves_early_leaves_the_model_idle(loader: Loader) -> None:
    shelf = opened(loader, max_bytes=4)

    async def ask() -> None:
        async with aclosing(shelf.stream(request(None))) as chunks:
            await anext(chunks)
        assert await hear(shelf, "anna") == 4

    run(ask())
    assert loader.loaded[0].is_closed


def test_models_are_counted(loader: Loader, registry: CollectorRegistry) -> None:
    shelf = opened(loader, recorder=Metrics(PrometheusExporter(registry)))
    loader.errors["source-cora"] = CheckpointError("damaged")

    async def ask() -> None:
        await hear(shelf, "anna")
        await hear(shelf, "ben")
        with pytest.raises(ModelUnavailable):
            await hear(shelf, "cora")

    run(ask())
    value = registry.get_sample_value
    assert value("xtts_model_loads_total", {"model": "ben", "outcome": "loaded"}) == 1
    assert value("xtts_model_loads_total", {"model": "cora", "outcome": "failed"}) == 1
    assert value("xtts_model_evictions_total", {"model": "anna"}) == 1
    assert value("xtts_models_loaded") == len(shelf.loaded_names)
    assert value("xtts_model_load_seconds_count") == 2


def test_gauges_are_of_all_engines_together(loader: Loader, registry: CollectorRegistry) -> None:
    shelf = opened(loader, recorder=Metrics(PrometheusExporter(registry)))
    run(_ask_anna(shelf))
    for source, used in (("base", 3.0), ("source-anna", 2.0)):
        recorder = loader.last(source).recorder
        recorder.set(metrics.SLOTS, 4.0)
        recorder.set(metrics.SLOTS_USED, used)
        recorder.set(metrics.OLDEST_WAIT, used)
    assert [registry.get_sample_value(f"xtts_{name}") for name in ("slots", "slots_used", "oldest_wait_seconds")] == [
        *(4.0, 5.0, 3.0)
    ]

    async def ask() -> None:
        await hear(shelf)
        await hear(shelf, "ben")  # in anna's place

    run(ask())
    assert registry.get_sample_value("xtts_slots_used") == 3.0
