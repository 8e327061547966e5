"""What one client may do with the voices that users made. A voice belongs to the API key that made it."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from serve_app.api.keys import ApiKey
from serve_app.errors import NotYours, VoiceNotFound
from serve_app.voices.catalogue import Catalogue
from serve_app.voices.entry import Entry

NOBODY = ApiKey("")  # who came in without a key where keys are used: makes nothing, and meets what is shared


@dataclass(frozen=True)
class VoiceAccess:
    """The catalogue as one client meets it. Without API keys everyone may do everything.

    With them a voice is seen and used by the key that made it, by all keys where its maker shared it, and changed by
    its maker alone; keys with `admin` may do it all. What somebody may not see is answered as if it were not there.
    """

    catalogue: Catalogue
    key: ApiKey | None  # None: the service has no keys

    @property
    def owner(self) -> str | None:
        """Whose a voice is that this client makes."""
        return None if self.key is None else self.key.name

    def may_use(self, entry: Entry) -> bool:
        return entry.is_shared or self.may_change(entry)

    def may_change(self, entry: Entry) -> bool:
        return self.key is None or self.key.is_admin or (bool(entry.owner) and entry.owner == self.key.name)

    async def find(self, voice_id: str) -> Entry | None:
        """A voice that this client may use. Raises StorageFailed."""
        entry = await asyncio.to_thread(self.catalogue.voice, voice_id)
        return entry if entry is not None and self.may_use(entry) else None

    async def changeable(self, voice_id: str) -> Entry:
        """A voice that this client may change, damaged or not. Raises VoiceNotFound, NotYours and StorageFailed."""
        entry = await asyncio.to_thread(self.catalogue.entry, voice_id)
        if entry is None or not self.may_use(entry):
            raise VoiceNotFound(f"You have no voice {voice_id!r}; see GET /v1/audio/voices.", field="voice")
        self.check_change(entry)
        return entry

    def check_change(self, entry: Entry) -> None:
        """Raises NotYours."""
        if not self.may_change(entry):
            raise NotYours(f"{entry.id!r} was made with another API key; only that one may change it.")


def get_voice_access(connection: HTTPConnection) -> VoiceAccess:
    state = connection.app.state.api
    key = cast(ApiKey | None, getattr(connection.state, "api_key", None))
    if key is None and state.settings.api_keys_file is not None:
        key = NOBODY
    return VoiceAccess(state.catalogue, key)


async def _access(request: Request) -> VoiceAccess:
    return get_voice_access(request)


VoiceAccessDep = Annotated[VoiceAccess, Depends(_access)]
