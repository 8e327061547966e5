"""What an ingress replica speaks to: the engine deployment behind its handle."""

import logging
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any, cast

from ray.serve.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator

from serve_app.audio.pcm import Recording
from serve_app.deployment.affinity import model_id
from serve_app.deployment.calls import called_apart, cancelled_if_left, ray_errors_as_ours
from serve_app.deployment.environment import is_grpc
from serve_app.deployment.gone import ReplicaGone, ReplicaLost
from serve_app.deployment.presence import EnginePresence
from serve_app.errors import ServiceError
from serve_app.speech.request import AudioChunk, ServiceStatus, SpeechRequest
from serve_app.voices.info import PreparedVoice

logger = logging.getLogger(__name__)


class EngineBackend:
    """The seam over a handle of the engine deployment. Ray's errors leave it as ours."""

    def __init__(self, engine: DeploymentHandle[Any], *, has_several_models: bool = False) -> None:
        engine = engine.options(_by_reference=not is_grpc())
        self._engine, self._has_several_models = engine, has_several_models
        self._streaming_engine = engine.options(stream=True)
        self._presence = EnginePresence(engine)

    async def status(self, model: str | None = None) -> ServiceStatus:
        """See `EnginePresence.status`."""
        return await self._presence.status(model)

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        """A request whose replica is lost before its first chunk goes to another one, once: a replica that ended is
        chosen until the router knows."""
        await self._presence.wait_for_one()
        has_begun = False
        try:
            async with aclosing(self._chunks(request)) as chunks:
                async for chunk in chunks:
                    has_begun = True
                    yield chunk
            return
        except ReplicaLost:
            if has_begun:
                raise
        logger.warning("a request that had sent nothing goes to another engine replica")
        await self._presence.wait_for_one()
        async with aclosing(self._chunks(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _chunks(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        engine = self._engine_for(request.model, self._streaming_engine)
        has_begun = False
        with self._losses_noted(), ray_errors_as_ours():
            items = DeploymentResponseGenerator[AudioChunk | ServiceError]
            answer = cast(items, called_apart(engine.stream.remote, request))
            with cancelled_if_left(answer):
                async for item in answer:
                    if isinstance(item, ServiceError):
                        raise item
                    if not has_begun:  # later ones may have been made before a loss, and lain here
                        self._presence.note_answer()
                    has_begun = True
                    yield item

    async def prepare_voice(self, recordings: Sequence[Recording], *, is_style: bool) -> PreparedVoice:
        """Asked a second time where its replica is lost: nothing of it is seen before it is done."""
        await self._presence.wait_for_one()
        try:
            return await self._prepare(recordings, is_style)
        except ReplicaLost:
            await self._presence.wait_for_one()
            return await self._prepare(recordings, is_style)

    async def _prepare(self, recordings: Sequence[Recording], is_style: bool) -> PreparedVoice:
        prepare = self._engine_for(None, self._engine).prepare_voice
        with self._losses_noted(), ray_errors_as_ours():
            answers = DeploymentResponse[PreparedVoice | ServiceError]
            answer = cast(answers, called_apart(prepare.remote, list(recordings), is_style))
            with cancelled_if_left(answer):
                voice = await answer
            if isinstance(voice, ServiceError):
                raise voice
            return voice

    @contextmanager
    def _losses_noted(self) -> Generator[None]:
        """Of the replica that is asked within."""
        asked_s = time.monotonic()
        try:
            yield
        except ReplicaGone:
            self._presence.note_loss(asked_s)
            raise

    def _engine_for(self, model: str | None, engine: DeploymentHandle[Any]) -> DeploymentHandle[Any]:
        """Where the model is loaded already, if there is room; a single one is everywhere."""
        return engine.options(multiplexed_model_id=model_id(model)) if self._has_several_models else engine
