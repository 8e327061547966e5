"""GET /v1/models: OpenAI's list, which clients read to fill a menu or to see whether a service is there."""

from fastapi import APIRouter

from serve_app.api.deps import FactsDep
from serve_app.api.schemas import ModelResponse, ModelsResponse
from serve_app.errors import ModelNotFound
from serve_app.speech.request import ServiceStatus

router = APIRouter(tags=["models"])


@router.get("/v1/models")
async def models(facts: FactsDep) -> ModelsResponse:
    """The model that speaks here."""
    return ModelsResponse(data=[_response(facts)])


@router.get("/v1/models/{name:path}")
async def model(name: str, facts: FactsDep) -> ModelResponse:
    """The same, by its name."""
    if name != facts.model:
        message = f"There is no model {name[:200]!r} here; the one that speaks is {facts.model}."
        raise ModelNotFound(message, field="model")
    return _response(facts)


def _response(facts: ServiceStatus) -> ModelResponse:
    return ModelResponse(id=facts.model, languages=list(facts.languages))
