"""Which web pages may open a WebSocket. A browser lets any page try, and says in `origin` which one it is."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers

from serve_app.errors import OriginNotAllowed

ANY_ORIGIN = "*"
_DEFAULT_PORTS = (":80", ":443")


def check_origin(headers: Headers, allowed: str) -> None:
    """Raises `OriginNotAllowed` for a page of another host. What is no browser sends no origin, and passes.

    `allowed`: further origins with commas between, such as "https://app.example.com", or "*".
    """
    origin = headers.get("origin")
    names = {each.strip().lower().rstrip("/") for each in allowed.split(",") if each.strip()}
    if origin is None or ANY_ORIGIN in names or origin.lower() in names:
        return
    if _plain(urlsplit(origin).netloc) != _plain(headers.get("host", "")) or "://" not in origin:
        raise OriginNotAllowed(
            "A web page of another host may not open this; name its origin in XTTS_ALLOWED_ORIGINS, or use API keys."
        )


def _plain(host: str) -> str:
    """In small letters, without a port that its scheme implies."""
    host = host.lower()
    for port in _DEFAULT_PORTS:
        host = host.removesuffix(port)
    return host
