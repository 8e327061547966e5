"""The bodies of /v1/jobs."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from serve_app.api.schemas import (
    AudioFormat,
    Intensity,
    Language,
    ModelField,
    Name,
    Pronunciations,
    SamplingFields,
    Speed,
    TurnFields,
)
from serve_app.speech.request import DEFAULT_VOICE

MAX_ITEMS = 10_000
ITEM_ID = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$"
ItemId = Annotated[str, Field(pattern=ITEM_ID, description="names it in the result; letters, digits, dots, - and _")]


class JobItemBody(BaseModel):
    """One text of a list. What is left out is the job's."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: ItemId | None = Field(None, description="its number in the list, from 1, if left out")
    input: str
    voice: Name | None = None
    language: Language | None = None
    speed: Speed | None = None
    emotion: Name | None = None
    emotion_intensity: Intensity | None = None
    pronunciations: Pronunciations | None = None
    reference_audio_b64: str | None = Field(None, description="a recording of the voice to clone: a file in base64")


class JobBody(ModelField, TurnFields, SamplingFields):
    """POST /v1/jobs: `input` or `items`; the rest as for POST /v1/audio/speech."""

    input: str | None = Field(None, description="one text, of any length up to the service's limit")
    items: Annotated[list[JobItemBody], Field(min_length=1, max_length=MAX_ITEMS)] | None = Field(
        None, description="texts that become a file each"
    )
    voice: Name = DEFAULT_VOICE
    response_format: AudioFormat = Field("mp3", description="of the result, which may be asked for in another one")
    language: Language | None = Field(None, description="as for a single text; auto: each text's own")
    reference_audio_b64: str | None = Field(None, description="a recording of the voice to clone: a file in base64")


class JobProgressResponse(BaseModel):
    """How far a job is."""

    parts_done: int
    parts_total: int
    characters_done: int
    characters_total: int
    audio_s: float = Field(description="seconds of speech made")
    seconds_left: float | None = Field(description="estimated by the parts so far; null where nothing tells")


class JobErrorResponse(BaseModel):
    """Why a job failed."""

    code: str
    message: str
    item: str | None = Field(description="the id of the item that could not be spoken")


class JobResponse(BaseModel):
    """One job."""

    id: str
    object: Literal["job"] = "job"
    status: Literal["queued", "running", "done", "failed", "cancelled"]
    created_at: str = Field(description="ISO 8601")
    started_at: str | None
    finished_at: str | None
    items: int | None = Field(description="in the list; null for a single text")
    model: str
    response_format: AudioFormat
    seed: int
    progress: JobProgressResponse
    waiting_for: str | None = Field(description="what keeps it from going on now, for a person")
    error: JobErrorResponse | None
    warnings: list[str]


class JobsResponse(BaseModel):
    """GET /v1/jobs."""

    object: Literal["list"] = "list"
    data: list[JobResponse]
    has_more: bool
