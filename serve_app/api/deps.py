"""What handlers need, as annotated dependencies; the state behind them is made once per app in `create_app`.

All are coroutines, also those that wait for nothing: FastAPI runs a plain function on another thread.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from serve_app.api.connections import Connections
from serve_app.api.observation import Observation, ObservationDep
from serve_app.api.recordings import VoiceWorkshop
from serve_app.api.references import ReferenceDecoder
from serve_app.api.streaming import begun_within
from serve_app.errors import ModelNotFound, Unavailable
from serve_app.jobs.runner import JobRunner
from serve_app.jobs.store import JobStore
from serve_app.settings import Settings
from serve_app.speech.request import AudioChunk, ServiceStatus, SpeechBackend, SpeechRequest, complete
from serve_app.voices.catalogue import Catalogue

STARTING_RETRY_AFTER_S = 5.0
MEANS_DEFAULT = re.compile(r"default|xtts|(tts-1|tts-1-hd|gpt-4o-mini-tts)(-\d[\d-]*)?")


@dataclass
class ApiState:
    """What all requests of one app share."""

    backend: SpeechBackend
    settings: Settings
    references: ReferenceDecoder
    max_body_bytes: int
    catalogue: Catalogue
    workshop: VoiceWorkshop
    jobs: JobStore
    runner: JobRunner
    connections: Connections
    facts: ServiceStatus | None = field(default=None)  # what a ready backend said of its model; it does not change
    facts_of_others: dict[str, ServiceStatus] = field(default_factory=dict)  # the same of further models, by name


async def get_state(request: Request) -> ApiState:
    return cast(ApiState, request.app.state.api)


StateDep = Annotated[ApiState, Depends(get_state)]


async def get_facts(state: StateDep) -> ServiceStatus:
    """What the model is. `Unavailable` (503) until it can speak; a later failure shows when it is asked to."""
    if state.facts is None:
        status = await state.backend.status()
        if not status.is_ready:
            raise Unavailable(
                "The model is still loading; watch /health/ready and try again.", retry_after_s=STARTING_RETRY_AFTER_S
            )
        state.facts = status
    return state.facts


FactsDep = Annotated[ServiceStatus, Depends(get_facts)]


async def choose_model(asked: str | None, state: ApiState) -> tuple[str | None, ServiceStatus]:
    """The model that a client means, None for the default one, and what it is.

    The default one is also meant by the names of OpenAI's models, which its clients send, and by any name where it is
    the only one. Raises `ModelNotFound`, and `Unavailable` where nothing is known of the model yet.
    """
    default, others = await get_facts(state), state.settings.extra_models
    if asked in others:
        return asked, await facts_of(asked, state)
    if not asked or not others or asked == default.model or MEANS_DEFAULT.fullmatch(asked):
        return None, default
    raise no_such_model(asked, default, state)


def no_such_model(asked: str, default: ServiceStatus, state: ApiState) -> ModelNotFound:
    """Says which there are."""
    known = ", ".join((default.model, *state.settings.extra_models))
    return ModelNotFound(f"There is no model {asked[:200]!r} here; choose one of: {known}.", field="model")


async def facts_of(name: str, state: ApiState) -> ServiceStatus:
    """What one of the further models is. They do not change, so they are asked for once."""
    if name not in state.facts_of_others:
        state.facts_of_others[name] = await state.backend.status(name)
    return state.facts_of_others[name]


async def get_cleanup() -> AsyncIterator[AsyncExitStack]:
    """Runs its callbacks once the response is sent, has failed, or its client has gone."""
    async with AsyncExitStack() as stack:
        yield stack


CleanupDep = Annotated[AsyncExitStack, Depends(get_cleanup)]


@dataclass(frozen=True)
class Speaker:
    """The backend as one request meets it: watched, and left when the request is over."""

    backend: SpeechBackend
    seen: Observation
    cleanup: AsyncExitStack
    first_audio_timeout_s: float

    def start(self, request: SpeechRequest, sample_rate_hz: int) -> AsyncGenerator[AudioChunk]:
        """The request's stream to its marked end, or an error. It is closed at the latest when the request ends."""
        chunks = self.backend.stream(request)
        assert isinstance(chunks, AsyncGenerator), "a backend's stream can be closed early"
        self.cleanup.push_async_callback(chunks.aclose)
        in_time = begun_within(self.first_audio_timeout_s, complete(chunks))
        return self.seen.watch(request, in_time, sample_rate_hz)


async def get_speaker(state: StateDep, seen: ObservationDep, cleanup: CleanupDep) -> Speaker:
    return Speaker(state.backend, seen, cleanup, state.settings.first_audio_timeout_s)


SpeakerDep = Annotated[Speaker, Depends(get_speaker)]
