"""What a service would say of itself, from its model's files without the weights: for models that are not loaded."""

import logging

from serve_app.model.checkpoint import read_without_weights
from serve_app.model.config import SAMPLE_RATE_HZ
from serve_app.model.device import choose_compute
from serve_app.settings import Settings
from serve_app.speech.loading import MADE_UP_VOICE, voice_infos
from serve_app.speech.request import DEFAULT_VOICE, ServiceStatus
from serve_app.voices.info import VoiceInfo

logger = logging.getLogger(__name__)


def describe(settings: Settings) -> ServiceStatus:
    """Fetches the published model where it is not there. Raises a `StartupError`."""
    compute = choose_compute(settings.device, settings.dtype, settings.quantization)
    checkpoint = read_without_weights(
        settings.model, accept_cpml=settings.accept_cpml, cache_dir=settings.model_cache, progress=logger.info
    )
    own = tuple(checkpoint.speakers)
    names = own if DEFAULT_VOICE in own else (DEFAULT_VOICE, *own)
    infos = voice_infos(checkpoint)
    return ServiceStatus(
        is_ready=True,
        model=checkpoint.config.name,
        device=compute.device.type,
        languages=checkpoint.config.languages,
        voices=tuple(infos.get(name, VoiceInfo(name)) for name in names),
        sample_rate_hz=SAMPLE_RATE_HZ,
        notices=(*checkpoint.notices, *(() if own else (MADE_UP_VOICE,))),
    )
