"""One model of a shelf: what is known of it, who uses it, and its service while it is loaded."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from serve_app.errors import ModelUnavailable, ServiceError
from serve_app.settings import Settings
from serve_app.shelf.loaded import LoadedService
from serve_app.speech.request import ServiceStatus

logger = logging.getLogger(__name__)

FAILURE_MEMORY_S = 60.0  # a model that could not be loaded is not tried again for so long
FAILED = "The model {!r} cannot be loaded; its operator finds the cause in the log. Choose another one, or try later."

Describe = Callable[[Settings], ServiceStatus]


@dataclass(eq=False)
class Model:
    """One model of the shelf, loaded or not."""

    name: str
    settings: Settings
    is_default: bool = False
    facts: ServiceStatus | None = None
    service: LoadedService | None = None
    num_bytes: int = 0  # as measured when it was loaded last
    num_users: int = 0  # streams that run in its service
    num_waiting: int = 0  # requests that wait for its service
    used_s: float = 0.0
    is_leaving: bool = False  # takes no newcomers, and is closed when its users are gone
    loading: "asyncio.Task[None] | None" = None
    failed_until_s: float = 0.0  # it could not be loaded, and is not tried again before

    @property
    def is_idle(self) -> bool:
        return not self.num_users and not self.num_waiting

    def describe(self, describe: Describe) -> None:
        """Learns what the model is without loading it; blocks. A failure is remembered."""
        try:
            self.facts = replace(describe(self.settings), model=self.name)
        except Exception as error:  # noqa: BLE001 (told to whoever asks)
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Remembers that it cannot be loaded. Why is the operator's to know: it may tell of files."""
        if isinstance(error, ServiceError):
            logger.error("model %s cannot be loaded: %s", self.name, error.message)
        else:
            logger.error("model %s cannot be loaded", self.name, exc_info=error)
        self.failed_until_s = time.monotonic() + FAILURE_MEMORY_S

    @property
    def has_failed(self) -> bool:
        return time.monotonic() < self.failed_until_s

    def check_not_failed(self) -> None:
        """Raises `ModelUnavailable` for a while after it failed."""
        if self.has_failed:
            retry_after_s = self.failed_until_s - time.monotonic()
            raise ModelUnavailable(FAILED.format(self.name), field="model", retry_after_s=retry_after_s)
