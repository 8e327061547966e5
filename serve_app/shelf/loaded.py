"""What a process holds of one model: the service that speaks with it, how it is loaded, and what it is without that."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from serve_app.audio.pcm import Recording
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.settings import Settings
from serve_app.speech.request import AudioChunk, ServiceLoad, ServiceStatus, SpeechRequest
from serve_app.voices.info import PreparedVoice


class LoadedService(Protocol):
    """A `SpeechBackend` of one model, with a life of its own."""

    @property
    def num_bytes(self) -> int:
        """Memory that it takes: of the GPU where it computes there, else of the process."""
        ...

    def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]: ...

    async def status(self) -> ServiceStatus: ...

    async def prepare_voice(self, recordings: Sequence[Recording], *, is_style: bool) -> PreparedVoice: ...

    def load_now(self) -> ServiceLoad: ...

    def check_health(self) -> None: ...

    async def drain(self) -> None: ...

    def close(self) -> None: ...


ServiceLoader = Callable[[Settings, Callable[[str], None], Metrics], LoadedService]


def load_speech_service(
    settings: Settings, progress: Callable[[str], None], recorder: Metrics = NOT_RECORDED
) -> LoadedService:
    """The real service, loaded and warm; blocks for as long as that takes."""
    from serve_app.speech.service import SpeechService  # here: whoever only serves HTTP never imports torch

    return SpeechService.load(settings, progress, recorder)


def describe_model(settings: Settings) -> ServiceStatus:
    """What the real service would say of itself, read from the model's files without its weights; blocks.

    The published model is fetched where it is not there. Raises a `StartupError`.
    """
    from serve_app.speech.description import describe

    return describe(settings)
