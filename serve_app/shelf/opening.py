"""From settings to a shelf whose default model is loaded and whose other ones are known."""

import asyncio
import logging
from collections.abc import Callable

from serve_app.errors import SettingsError
from serve_app.metrics import Metrics
from serve_app.model.source import check_source
from serve_app.settings import Settings
from serve_app.shelf.gauges import SharedGauges
from serve_app.shelf.loaded import ServiceLoader, describe_model
from serve_app.shelf.memory import max_model_bytes
from serve_app.shelf.model import Describe, Model
from serve_app.shelf.shelf import ModelShelf

logger = logging.getLogger(__name__)


def check_sources(settings: Settings) -> None:
    """Raises a `StartupError` for a model that plainly is not there, before anything is started."""
    for model in (settings.model, *settings.extra_models.values()):
        check_source(model, accept_cpml=settings.accept_cpml)


def open_shelf(
    settings: Settings,
    load_service: ServiceLoader,
    progress: Callable[[str], None],
    recorder: Metrics,
    describe: Describe = describe_model,
) -> ModelShelf:
    """Loads the default model and reads what the others are; blocks. A failure of these is theirs alone.

    Raises a `StartupError` of the default model. Belongs on a thread without a running event loop.
    """
    gauges = SharedGauges(recorder)
    default = Model(settings.model, settings, is_default=True)
    default.service = load_service(settings, progress, gauges.recorder_of(default))
    default.facts, default.num_bytes = asyncio.run(default.service.status()), default.service.num_bytes
    default.name = default.facts.model
    if default.name in settings.extra_models:
        raise SettingsError(f"The default model is called {default.name!r} itself: rename that of XTTS_EXTRA_MODELS.")
    others = [
        Model(name, settings.model_copy(update={"model": source})) for name, source in settings.extra_models.items()
    ]
    for model in others:
        model.describe(describe)
    max_bytes = max_model_bytes(settings, default.facts.device) if others else 0
    if others:
        names = ", ".join(model.name for model in others)
        logger.info("further models, loaded when asked for: %s; %d MB for all", names, max_bytes // 1_000_000)
    return ModelShelf(default, others, load_service, describe, gauges=gauges, recorder=recorder, max_bytes=max_bytes)
