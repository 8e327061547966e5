"""GET /health, /health/live and /health/ready: for the existing clients, for the process, for the load balancer."""

import dataclasses

from fastapi import APIRouter, Response

from serve_app.api.deps import ApiState, StateDep
from serve_app.api.schemas import HealthResponse
from serve_app.errors import Overloaded, Unavailable
from serve_app.speech.request import ServiceStatus

router = APIRouter(tags=["health"])


@router.get("/health/live")
async def live() -> dict[str, str]:
    """200 as long as the process answers, whatever the model does."""
    return {"status": "ok"}


@router.get("/health/ready")
@router.get("/health")
async def health(state: StateDep, response: Response) -> HealthResponse:
    """200 once the service can speak, 503 until then and while it cannot."""
    status = await _status(state)
    if not status.is_ready:
        response.status_code = Unavailable.status
    return _rendered(status)


async def _status(state: ApiState) -> ServiceStatus:
    """As the backend says; where it has none to ask, what is known of it."""
    try:
        return await state.backend.status()
    except (Unavailable, Overloaded):
        known = state.facts or ServiceStatus(False, state.settings.model, state.settings.device, ())
        return dataclasses.replace(known, is_ready=False)


def _rendered(status: ServiceStatus) -> HealthResponse:
    return HealthResponse(
        status="ok" if status.is_ready else "unavailable",
        device=status.device,
        model=status.model,
        supported_languages=list(status.languages),
        voices=list(status.voice_names),
        sample_rate=status.sample_rate_hz,
        notices=list(status.notices),
    )
