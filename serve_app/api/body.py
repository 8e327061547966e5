"""Reading a body into its schema: strict types from JSON, text from forms. Knows no route."""

import asyncio
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile

from serve_app.api.errors import InvalidField, invalid_fields
from serve_app.errors import RequestError

Body = TypeVar("Body", bound=BaseModel)

_LARGE_JSON_BYTES = 256 * 1024  # beyond it, parsing would hold up other requests' audio
_MAX_FORM_FIELDS = 50


@dataclass(frozen=True)
class Form:
    """A parsed multipart body: its text fields as the schema sees them, and its files."""

    fields: dict[str, str]
    files: tuple[bytes, ...] = ()

    @property
    def file(self) -> bytes | None:
        """Where there is one at most."""
        return self.files[0] if self.files else None


async def read_json(request: Request, schema: type[Body]) -> Body:
    """The body as `schema`, whatever its content type says. 400 if it is not JSON, 422 if it does not fit."""
    data = await request.body()
    if len(data) > _LARGE_JSON_BYTES:
        return await asyncio.to_thread(_parse_json, data, schema)
    return _parse_json(data, schema)


async def read_form(request: Request, *, file_field: str, max_bytes: int, max_files: int = 1) -> Form:
    """A multipart body in UTF-8 with at most `max_files` files, in `file_field`.

    400 if it is malformed, in another charset or has more files, 422 if a file is elsewhere.
    """
    _, options = parse_options_header(request.headers["content-type"])
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise RequestError("The form's charset is not UTF-8; send it in UTF-8, and leave the charset out.")
    fields: dict[str, str] = {}
    files: list[bytes] = []
    async with request.form(max_files=max_files, max_fields=_MAX_FORM_FIELDS, max_part_size=max_bytes) as form:
        for name, value in form.multi_items():
            if isinstance(value, str) and name != file_field:
                fields[name] = value
            elif isinstance(value, UploadFile) and name == file_field:
                files.append(await value.read())
            else:
                raise InvalidField(f"Send a file in the field {file_field}, and text in the others.", field=name)
    return Form(fields, tuple(files))


def parse_strings(fields: dict[str, str], schema: type[Body]) -> Body:
    """Form fields as `schema`: numbers are read from their text. 422 if they do not fit."""
    try:
        return schema.model_validate_strings(fields)
    except ValidationError as error:
        raise invalid_fields(error.errors(include_input=False, include_context=False)) from None


def _parse_json(data: bytes, schema: type[Body]) -> Body:
    try:
        return schema.model_validate_json(data, strict=True)
    except ValidationError as error:
        raise invalid_fields(error.errors(include_input=False, include_context=False)) from None
