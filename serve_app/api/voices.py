"""GET /v1/audio/voices: the voices by name, with what should be known of each."""

from fastapi import APIRouter

from serve_app.api.deps import FactsDep
from serve_app.api.schemas import VoiceResponse, VoicesResponse

router = APIRouter(tags=["voices"])


@router.get("/v1/audio/voices")
async def voices(facts: FactsDep) -> VoicesResponse:
    """The voices that `voice` may name; any other is cloned from a reference recording."""
    return VoicesResponse(
        voices=[
            VoiceResponse(id=each.name, name=each.name, description=each.description, licence=each.licence)
            for each in facts.voices
        ]
    )
