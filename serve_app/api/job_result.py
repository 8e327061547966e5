"""GET /v1/jobs/{id}/result: a job's audio, encoded while it is sent, its captions, or a ZIP of all its items."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, Response

from serve_app.api.deps import StateDep
from serve_app.api.observation import ObservationDep
from serve_app.api.schemas import AudioFormat
from serve_app.api.streaming import StreamedResponse
from serve_app.audio.encoders import MIME_TYPES
from serve_app.errors import JobNotDone, RequestError
from serve_app.jobs.folder import JobFolder
from serve_app.jobs.job import Head, Item, Job, Status
from serve_app.jobs.result import audio_of, check_spoken, cues_of, encoder_of, item_named, zip_of
from serve_app.text.captions import srt, vtt

router = APIRouter(tags=["jobs"])

ZIP = "application/zip"
CAPTIONS = {"srt": "application/x-subrip", "vtt": "text/vtt"}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
RESULT_DOCS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "an audio file, captions, or a ZIP of audio files",
        "content": dict.fromkeys((*MIME_TYPES, ZIP, *CAPTIONS.values()), _BINARY),
    }
}


@router.get("/v1/jobs/{job_id}/result", response_class=Response, responses=RESULT_DOCS)
async def result(
    job_id: str,
    state: StateDep,
    seen: ObservationDep,
    item: Annotated[str | None, Query(max_length=100, description="of a list: this one alone")] = None,
    response_format: Annotated[AudioFormat | None, Query(description="the job's own if left out")] = None,
    captions: Annotated[Literal["srt", "vtt"] | None, Query(description="instead of the audio")] = None,
) -> Response:
    """The whole audio; of a list a ZIP, or with `item` one of its texts, as soon as that is spoken."""
    folder = await asyncio.to_thread(state.jobs.find, seen.client, job_id)
    job, items = await asyncio.to_thread(lambda: (folder.job(), folder.items()))
    chosen = _chosen(job, items, item)
    if chosen is None:
        if captions is not None:
            raise RequestError("Captions are of one text: name it by `item`.", field="captions")
        blocks = zip_of(folder, job.head, items, response_format or job.head.response_format)
        return StreamedResponse(_in_threads(blocks), media_type=ZIP, headers=_file_named(f"{job.head.id}.zip"))
    await asyncio.to_thread(check_spoken, folder, chosen)
    if captions is not None:
        text = await asyncio.to_thread(_captions, folder, job.head, chosen, captions)
        return PlainTextResponse(text, media_type=CAPTIONS[captions])
    return await _audio(folder, job.head, chosen, response_format or job.head.response_format)


def _chosen(job: Job, items: tuple[Item, ...], item: str | None) -> Item | None:
    """The text that is meant; None for all of a list. Raises JobNotFound, and JobNotDone where it has no end yet."""
    if job.head.is_list and item is not None:
        return item_named(items, item)
    if not job.head.is_list and item is not None:
        raise RequestError("This job is a single text; leave `item` out.", field="item")
    if job.state.status is not Status.DONE:
        message = f"This job is {job.state.status}, not done; GET /v1/jobs/{job.head.id} says how far it is."
        raise JobNotDone(message, field="id")
    return None if job.head.is_list else items[0]


async def _audio(folder: JobFolder, head: Head, item: Item, response_format: str) -> StreamedResponse:
    encoder = await asyncio.to_thread(encoder_of, folder, head, item, response_format)
    name = f"{item.id if head.is_list else head.id}.{response_format}"
    headers = {**_file_named(name), "x-sample-rate": str(head.sample_rate_hz), "content-language": item.language}
    blocks = audio_of(folder, item, encoder)
    return StreamedResponse(_in_threads(blocks), media_type=encoder.mime_type, headers=headers)


async def _in_threads(blocks: Iterator[bytes]) -> AsyncGenerator[bytes]:
    """Each block is made away from the event loop, and only once the last one has left."""
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        yield block


def _captions(folder: JobFolder, head: Head, item: Item, kind: str) -> str:
    cues = cues_of(folder, head, item)
    return srt(cues) if kind == "srt" else vtt(cues)


def _file_named(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
