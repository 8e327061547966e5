"""The studio at GET /: a web page that speaks through this very API. Hands out its files; knows nothing of speech."""

import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

router = APIRouter(include_in_schema=False)

PAGE = "index.html"
_SCRIPTS = (
    *("api", "app", "buttons", "capture", "catalogue", "code", "dialogue", "dom", "i18n", "making", "player"),
    *("recorder", "recordings", "settings", "stage", "strings", "styles", "styling", "take", "voices", "wav"),
    *("waveform", "words"),
)
FILES = {  # all that there is to hand out, and what a browser takes each for
    PAGE: "text/html; charset=utf-8",
    "studio.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    **{f"{name}.js": "text/javascript; charset=utf-8" for name in _SCRIPTS},
}
PATHS = frozenset({"/", *(f"/studio/{name}" for name in FILES if name != PAGE)})

HEADERS = {
    "cache-control": "no-cache",  # kept, and asked for again by its tag: replicas of two versions may answer in turn
    "content-security-policy": (
        "default-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
}


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """The page. Its links are relative, so it works below a proxy's prefix too."""
    return _answer(PAGE, request)


@router.api_route("/studio/{name}", methods=["GET", "HEAD"])
async def file(name: str, request: Request) -> Response:
    """One of the page's files, by a name of the table."""
    if name not in FILES or name == PAGE:
        raise HTTPException(404, "Not Found")
    return _answer(name, request)


def _answer(name: str, request: Request) -> Response:
    content, tag = _read(name)
    headers = {**HEADERS, "etag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=FILES[name], headers=headers)


@cache
def _read(name: str) -> tuple[bytes, str]:
    """A file and its tag."""
    content = (files("serve_app.api") / "static" / name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'
