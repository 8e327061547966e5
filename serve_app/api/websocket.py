"""WS /v1/audio/stream: text in as it is written, audio out while it is spoken."""

from typing import cast

from fastapi import APIRouter, WebSocket

from serve_app.api.connection import Connection
from serve_app.api.deps import ApiState, get_facts
from serve_app.api.origins import check_origin
from serve_app.api.stream_messages import ROUTE

router = APIRouter(tags=["speech"])

SUBPROTOCOL = "xtts"  # for browsers: who offers subprotocols, a key among them, must be answered with one


@router.websocket(ROUTE)
async def stream(websocket: WebSocket) -> None:
    """A refusal before the handshake is complete has a status and OpenAI's error object, as by HTTP."""
    state = cast(ApiState, websocket.app.state.api)
    if state.settings.api_keys_file is None:  # a page cannot know a key; without keys it must not speak on our cost
        check_origin(websocket.headers, state.settings.allowed_origins)
    facts = await get_facts(state)
    with state.connections.one_more():
        await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in websocket.scope["subprotocols"] else None)
        await Connection(websocket, state, facts).run()
