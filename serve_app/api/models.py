"""GET /v1/models: OpenAI's list, which clients read to fill a menu or to see whether a service is there."""

from fastapi import APIRouter

from serve_app.api.deps import ApiState, FactsDep, StateDep, facts_of, no_such_model
from serve_app.api.schemas import ModelResponse, ModelsResponse
from serve_app.errors import Overloaded, Unavailable

router = APIRouter(tags=["models"])


@router.get("/v1/models")
async def models(facts: FactsDep, state: StateDep) -> ModelsResponse:
    """The models that `model` may name, loaded or not; the default one first."""
    default = ModelResponse(id=facts.model, languages=list(facts.languages))
    return ModelsResponse(data=[default, *[await _response(name, state) for name in state.settings.extra_models]])


@router.get("/v1/models/{name:path}")
async def model(name: str, facts: FactsDep, state: StateDep) -> ModelResponse:
    """One of them, by its name."""
    if name == facts.model:
        return ModelResponse(id=name, languages=list(facts.languages))
    if name in state.settings.extra_models:
        return await _response(name, state)
    raise no_such_model(name, facts, state)


async def _response(name: str, state: ApiState) -> ModelResponse:
    """Without languages where nothing is known of the model: its files are damaged or away."""
    try:
        facts = await facts_of(name, state)
    except (Unavailable, Overloaded):
        return ModelResponse(id=name, languages=[])
    return ModelResponse(id=name, languages=list(facts.languages))
