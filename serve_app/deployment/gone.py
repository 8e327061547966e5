"""An engine replica that is gone, or is about to be, as the request that it spoke meets it."""

from serve_app.errors import Unavailable

GONE_MESSAGE = "The engine replica that spoke this request is gone; a new one is started, try again."
GONE_RETRY_AFTER_S = 5.0


class ReplicaGone(Unavailable):
    """A new one is started; the request may be sent again."""

    def __init__(
        self, message: str = GONE_MESSAGE, *, field: str | None = None, retry_after_s: float | None = GONE_RETRY_AFTER_S
    ) -> None:
        super().__init__(message, field=field, retry_after_s=retry_after_s)


class ReplicaLost(ReplicaGone):
    """Ray's word for it, not the replica's own: the request did nothing to it that we know of."""


class ReplicaFailed(ReplicaGone):
    """Its own word: its engine failed, perhaps of this very request, and its process ends."""
