"""The models of a process: the default one, and further ones that are loaded when asked for, within a memory bound.

Knows services, not what is in them; no HTTP, no Ray. A model that speaks is never closed: it takes no newcomers while
it is to go, and goes when it is idle. All methods but `load_now` and `check_health` belong on one event loop.
"""

import asyncio
import functools
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace

from serve_app import metrics
from serve_app.audio.pcm import Recording
from serve_app.compute_threads import await_apart
from serve_app.errors import ModelNotFound, Unavailable
from serve_app.metrics import Metrics
from serve_app.shelf.gauges import SharedGauges
from serve_app.shelf.loaded import LoadedService, ServiceLoader
from serve_app.shelf.memory import give_back_memory
from serve_app.shelf.model import Describe, Model
from serve_app.speech.request import AudioChunk, ServiceLoad, ServiceStatus, SpeechRequest
from serve_app.voices.info import PreparedVoice

logger = logging.getLogger(__name__)

PATIENCE_S = 5.0  # for a model to become idle by itself, before one is told to take no newcomers
STOPPED_RETRY_AFTER_S = 1.0


class ModelShelf:
    """A `LoadedService` of several models. Begins with the default one loaded."""

    def __init__(
        self,
        default: Model,
        others: list[Model],
        load_service: ServiceLoader,
        describe: Describe,
        *,
        gauges: SharedGauges,
        recorder: Metrics,
        max_bytes: int,
    ) -> None:
        assert default.service is not None and default.facts is not None
        self._default = default
        self._models = {model.name: model for model in (default, *others)}
        self._load_service, self._describe = load_service, describe
        self._gauges, self._recorder, self._max_bytes = gauges, recorder, max_bytes
        self._turn = asyncio.Lock()  # one load at a time
        self._changed = asyncio.Event()  # somebody has left a model
        self._is_draining = False
        self.on_change: Callable[[], None] = lambda: None  # called when other models are loaded than before
        self._report()

    @property
    def loaded_names(self) -> tuple[str | None, ...]:
        """Of the models that are loaded or about to be; None is the default one."""
        found = [each for each in self._models.values() if each.service is not None or each.loading]
        return tuple(None if each.is_default else each.name for each in found)

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        """Spoken by the model that the request names, which is loaded first where it is not.

        Raises `ModelNotFound`, `ModelUnavailable` where it cannot be loaded, and what its service raises.
        """
        model = self._find(request.model)
        service = await self._enter(model)
        try:
            async with aclosing(service.stream(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self._leave(model)

    async def prepare_voice(self, recordings: Sequence[Recording], *, is_style: bool) -> PreparedVoice:
        """See `SpeechBackend`. By the default model: others encode the voice when it is first used."""
        service = await self._enter(self._default)
        try:
            return await service.prepare_voice(recordings, is_style=is_style)
        finally:
            self._leave(self._default)

    async def status(self, name: str | None = None) -> ServiceStatus:
        """Of the model, loaded or not: it is ready if it may be asked to speak. Loads none.

        Raises `ModelNotFound`, and `ModelUnavailable` where nothing is known of it.
        """
        model = self._find(name)
        if model.service is not None:
            model.facts = replace(await model.service.status(), model=model.name)
            return model.facts
        if model.facts is None:
            model.check_not_failed()
            await await_apart(functools.partial(model.describe, self._describe), "describe-model")
            model.check_not_failed()
        assert model.facts is not None
        return replace(model.facts, is_ready=not model.has_failed)

    def load_now(self) -> ServiceLoad:
        """What is asked of all loaded models together. They share the device: more of them have no more slots."""
        loads = [service.load_now() for service in self._services()]
        return ServiceLoad(
            max((load.num_slots for load in loads), default=0),
            sum(load.num_wanted_slots for load in loads),
            max((load.oldest_wait_s for load in loads), default=0.0),
        )

    def check_health(self) -> None:
        """Raises a `ServiceError` when the engine of any loaded model cannot go on."""
        for service in self._services():
            service.check_health()

    async def drain(self) -> None:
        """Takes no new request and waits for those that run."""
        self._is_draining = True
        await asyncio.gather(*(service.drain() for service in self._services()))

    def close(self) -> None:
        self._is_draining = True
        for model in self._models.values():
            service, model.service = model.service, None
            if service is not None:
                service.close()

    def _services(self) -> list[LoadedService]:
        return [service for model in self._models.values() if (service := model.service) is not None]

    def _find(self, name: str | None) -> Model:
        model = self._default if name is None else self._models.get(name)
        if model is None:
            known = ", ".join(self._models)
            raise ModelNotFound(f"There is no model {name!r} here; choose one of: {known}.", field="model")
        return model

    # -- users of a model ----------------------------------------------------------------------------------------------

    async def _enter(self, model: Model) -> LoadedService:
        """The model's service, and one user more; each is to `_leave`."""
        model.num_waiting += 1
        try:
            while True:
                if self._is_draining:
                    message = "The service is stopping; send the request again."
                    raise Unavailable(message, retry_after_s=STOPPED_RETRY_AFTER_S)
                if model.service is not None and not model.is_leaving:
                    model.num_users += 1
                    return model.service
                model.check_not_failed()
                model.loading = model.loading or asyncio.create_task(self._load(model), name=f"load {model.name}")
                await asyncio.shield(model.loading)
        finally:
            model.num_waiting -= 1
            self._changed.set()

    def _leave(self, model: Model) -> None:
        model.num_users -= 1
        model.used_s = time.monotonic()
        self._changed.set()

    # -- loading and closing -------------------------------------------------------------------------------------------

    async def _load(self, model: Model) -> None:
        """Raises nothing: a failure is remembered, for all who wait. Ends without either once nobody waits."""
        try:
            async with self._turn:
                if model.service is None and await self._make_room_for(model):
                    self.on_change()
                    await self._open(model)
        except Exception as error:  # noqa: BLE001 (told to all who wait)
            model.fail(error)
            self._recorder.add(metrics.MODEL_LOADS, model=model.name, outcome="failed")
        finally:
            model.loading = None
            self._report()

    async def _open(self, model: Model) -> None:
        logger.info("loading model %s", model.name)
        started_s = time.monotonic()
        recorder = self._gauges.recorder_of(model)
        load = functools.partial(self._load_service, model.settings, logger.info, recorder)
        service = await await_apart(load, "load-model")
        if self._is_draining:
            service.close()
            return
        model.num_bytes, model.used_s = service.num_bytes, time.monotonic()
        model.facts = replace(await service.status(), model=model.name)
        model.service = service
        self._recorder.add(metrics.MODEL_LOADS, model=model.name, outcome="loaded")
        self._recorder.observe(metrics.MODEL_LOAD_SECONDS, time.monotonic() - started_s)
        while self._held_bytes() > self._max_bytes and (idle := self._next_to_go(is_idle=True, but=model)):
            await self._close(idle)  # it is larger than was expected
        if self._held_bytes() > self._max_bytes:
            logger.warning("%s takes more memory than XTTS_MAX_MODEL_BYTES leaves", model.name)

    async def _make_room_for(self, model: Model) -> bool:
        """Closes what must go. False once nobody waits for the model any more.

        An idle model goes at once; where all are busy for a while, one takes no more newcomers until it is idle.
        """
        expected = model.num_bytes or max(each.num_bytes for each in self._models.values())
        patient_until_s = time.monotonic() + PATIENCE_S
        while self._services() and self._held_bytes() + expected > self._max_bytes:
            if not model.num_waiting:
                return False
            going = self._next_to_go(is_idle=True)
            if going is not None:
                await self._close(going)
            elif (left_s := patient_until_s - time.monotonic()) > 0:
                await self._until_changed(left_s)
            elif going := self._next_to_go(is_idle=False):
                await self._send_away(going, model)
        return bool(model.num_waiting)

    def _next_to_go(self, *, is_idle: bool, but: Model | None = None) -> Model | None:
        """The one that was not used for longest; the default one last of all."""
        loaded = [each for each in self._models.values() if each.service is not None and each is not but]
        found = [each for each in loaded if each.is_idle or not is_idle]
        return min(found, key=lambda each: (each.is_default, each.used_s), default=None)

    async def _send_away(self, going: Model, coming: Model) -> None:
        """Closes a busy model once its users are gone, unless nobody waits for the other one any more."""
        going.is_leaving = True
        try:
            while going.num_users and coming.num_waiting:
                await self._until_changed()
            if not going.num_users:
                await self._close(going)
        finally:
            going.is_leaving = False

    async def _until_changed(self, timeout_s: float | None = None) -> None:
        self._changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout_s)

    async def _close(self, model: Model) -> None:
        assert model.service is not None and not model.num_users
        logger.info("closing model %s: another one needs its memory", model.name)
        service, model.service = model.service, None
        await service.drain()
        await asyncio.to_thread(service.close)
        del service
        await asyncio.to_thread(give_back_memory)
        self._gauges.forget(model)
        self._recorder.add(metrics.MODEL_EVICTIONS, model=model.name)
        self._report()

    def _held_bytes(self) -> int:
        return sum(model.num_bytes for model in self._models.values() if model.service is not None)

    def _report(self) -> None:
        self._recorder.set(metrics.MODELS_LOADED, len(self._services()))
        self._recorder.set(metrics.MODELS_BYTES, self._held_bytes())
        self.on_change()
