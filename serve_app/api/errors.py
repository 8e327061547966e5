"""Errors on the wire: one JSON shape for every route, OpenAI's, and the handlers that map our tree to it."""

import logging
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from serve_app.api.observation import Observation
from serve_app.errors import Overloaded, RequestError, ServiceError, Unauthorized, Unavailable

logger = logging.getLogger(__name__)

DEFAULT_RETRY_AFTER_S = 1.0
POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1


class InvalidField(RequestError):
    """A field of the body is missing, of the wrong type or out of range."""

    status, code = 422, "invalid_field"


def error_response(error: ServiceError) -> JSONResponse:
    """The JSON answer of one error; 429 and 503 say in `Retry-After` when to come back, in whole seconds."""
    headers = {}
    if isinstance(error, (Overloaded, Unavailable)):
        delay_s = DEFAULT_RETRY_AFTER_S if error.retry_after_s is None else error.retry_after_s
        headers["retry-after"] = str(max(1, math.ceil(delay_s)))
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = "Bearer"
    return _json(error.status, error.code, error.message, error.field, headers)


async def send_error(error: ServiceError, scope: Scope, receive: Receive, send: Send) -> None:
    """The answer of a middleware, which no handler of the application sees; to a WebSocket's handshake as well."""
    _note(scope, error.code)
    if scope["type"] == "websocket" and "websocket.http.response" not in (scope.get("extensions") or {}):
        await WebSocketClose(POLICY_VIOLATION, error.code)(scope, receive, send)  # the server says 403
        return
    await error_response(error)(scope, receive, send)


def invalid_fields(details: Sequence[ErrorDetails | dict[str, Any]]) -> RequestError:
    """What pydantic found, as one error that names the first field. The input itself is never echoed."""
    first = details[0]
    if first["type"] == "json_invalid":
        return RequestError("The body is not valid JSON; send a JSON object in UTF-8.")
    field = ".".join(str(part) for part in first["loc"]) or None
    message = "; ".join(_sentence(detail) for detail in details)
    return InvalidField(f"{message}. Correct the request and send it again.", field=field)


@contextmanager
def fields_named(names: Mapping[str, str]) -> Generator[None]:
    """Within it, a `ServiceError` speaks of fields by this route's names: `names` maps ours to the route's."""
    try:
        yield
    except ServiceError as error:
        error.field = names.get(error.field, error.field) if error.field else None
        raise


def add_error_handlers(app: FastAPI) -> None:
    """Every error of every route leaves in the one shape."""
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameter)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unexpected_error)


async def _on_service_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)
    _note(request.scope, error.code)
    if error.status == 500:  # 503 is a state, which probes ask for again and again
        logger.error("%s: %s: %s", request.scope["path"], error.code, error.message)
    return error_response(error)


async def _on_invalid_parameter(request: Request, error: Exception) -> JSONResponse:
    """A path's or a query's parameter; bodies are read by `body`."""
    assert isinstance(error, RequestValidationError)
    details = [{**each, "loc": each["loc"][1:]} for each in error.errors()]
    invalid = invalid_fields(details)
    _note(request.scope, invalid.code)
    return error_response(invalid)


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """Unknown routes, wrong methods and unreadable form bodies, as the framework reports them."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    _note(request.scope, code)
    return _json(error.status_code, code, str(error.detail), None, dict(error.headers or {}))


async def _on_unexpected_error(request: Request, error: Exception) -> JSONResponse:
    """A mistake of ours. The server logs the traceback; the caller gets the request id to report."""
    request_id = getattr(request.state, "request_id", None)
    message = f"The service failed unexpectedly; report request id {request_id} to its operator."
    headers = {"x-request-id": request_id} if request_id else {}
    return _json(ServiceError.status, ServiceError.code, message, None, headers)


def _note(scope: Scope, code: str) -> None:
    """For the request's record."""
    seen = scope.get("state", {}).get("observation")
    if isinstance(seen, Observation):
        seen.code = code


def error_object(error: ServiceError) -> dict[str, Any]:
    """OpenAI's error object."""
    return _object(error.status, error.code, error.message, error.field)


def _json(status: int, code: str, message: str, field: str | None, headers: Mapping[str, str]) -> JSONResponse:
    content = {"error": _object(status, code, message, field)}
    return JSONResponse(content, status_code=status, headers=dict(headers))


def _object(status: int, code: str, message: str, field: str | None) -> dict[str, Any]:
    return {"code": code, "message": message, "type": _type_of(status), "param": field}


def _type_of(status: int) -> str:
    if status == Overloaded.status:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"


def _sentence(detail: ErrorDetails | dict[str, Any]) -> str:
    field = ".".join(str(part) for part in detail["loc"])
    return f"{field}: {detail['msg']}" if field else detail["msg"]
