"""/v1/jobs: long texts and lists of texts, spoken beside live requests, asked after and fetched when done."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.responses import StreamingResponse

from serve_app.api.body import read_json
from serve_app.api.deps import ApiState, StateDep, choose_model
from serve_app.api.errors import InvalidField
from serve_app.api.schemas import (
    JobBody,
    JobItemBody,
    JobProgress,
    JobResponse,
    JobsResponse,
    body_docs,
)
from serve_app.api.turns import check_speakable, check_text, choose_language, default_language, make_turn
from serve_app.api.voice_access import VoiceAccess, VoiceAccessDep
from serve_app.audio.encoders import encoder_for
from serve_app.audio.pcm import Recording
from serve_app.errors import JobNotDone, JobNotFound, Overloaded, TextTooLong
from serve_app.jobs import result
from serve_app.jobs.job import Item, JobHead, JobWork, Progress, Status, cut, new_id
from serve_app.jobs.store import JobStore
from serve_app.speech.request import Guards, ServiceStatus
from serve_app.text.captions import srt, vtt

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

ONLY_ITEM = "1"
NONE_RETRY_AFTER_S = 3_600.0

RESULT_DOCS = {200: {"description": "audio, a ZIP of the items' audio, or captions", "content": {"audio/mpeg": {}}}}


def get_store(state: StateDep) -> JobStore:
    return state.jobs


StoreDep = Annotated[JobStore, Depends(get_store)]


@router.post("", status_code=202, openapi_extra=body_docs(JobBody))
async def send_job(request: Request, state: StateDep, store: StoreDep, access: VoiceAccessDep) -> JobResponse:
    """Takes a long text, or a list of texts, and answers at once; GET the job to see how far it is."""
    body = await read_json(request, JobBody)
    if state.settings.max_jobs == 0:
        raise Overloaded("This service takes no jobs: its operator set none.", retry_after_s=NONE_RETRY_AFTER_S)
    model, facts = await choose_model(body.model, state)
    items = await _items(body, state, facts, access)
    head, work = await asyncio.to_thread(_job, body, items, model, access.owner)
    await asyncio.to_thread(store.add, head, work)
    state.runner.look()
    return await _response(store, head)


@router.get("")
async def list_jobs(
    store: StoreDep, access: VoiceAccessDep, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> JobsResponse:
    """The client's jobs, the newest first."""
    heads = await asyncio.to_thread(lambda: list(_visible(store, access, limit)))
    return JobsResponse(jobs=[await _response(store, head) for head in heads])


@router.get("/{job_id}")
async def read_job(job_id: str, store: StoreDep, access: VoiceAccessDep) -> JobResponse:
    """How far a job is."""
    return await _response(store, await _find(job_id, store, access))


@router.delete("/{job_id}")
async def delete_job(job_id: str, state: StateDep, store: StoreDep, access: VoiceAccessDep) -> JobResponse:
    """Cancels a job that is not over; removes one that is, and its speech. The answer is what it was."""
    head = await _find(job_id, store, access)
    progress = await asyncio.to_thread(store.progress, head)
    if progress.status.is_over:
        await asyncio.to_thread(store.remove, head.id)
        return _of(head, progress)
    await asyncio.to_thread(store.cancel, head.id)
    state.runner.look()
    return await _response(store, head)


@router.get("/{job_id}/result", response_class=Response, responses=RESULT_DOCS)  # type: ignore[arg-type]
async def read_result(
    job_id: str,
    store: StoreDep,
    access: VoiceAccessDep,
    item: Annotated[str | None, Query(max_length=64, description="of a list: one of its items")] = None,
    captions: Annotated[Literal["srt", "vtt"] | None, Query(description="instead of the audio")] = None,
) -> Response:
    """The audio of a text, or of one item; of a list without `item` a ZIP of all. 409 until the job is done."""
    head = await _find(job_id, store, access)
    progress = await asyncio.to_thread(store.progress, head)
    if progress.status is not Status.DONE:
        raise JobNotDone(f"The job is {progress.status}: it has no result{' yet' * (not progress.status.is_over)}.")
    if item is not None and item not in head.item_ids:
        raise JobNotFound(f"The job has no item {item!r}.", field="item")
    index = None if item is None else head.item_ids.index(item)
    if captions is not None:
        cues = await asyncio.to_thread(result.cues, store, head, index)
        return PlainTextResponse(srt(cues) if captions == "srt" else vtt(cues))
    if head.is_list and index is None:
        return StreamingResponse(_nonempty(result.archive(store, head)), media_type="application/zip")
    mime_type = encoder_for(head.response_format).mime_type
    return StreamingResponse(_nonempty(result.audio(store, head, index)), media_type=mime_type)


async def _items(body: JobBody, state: ApiState, facts: ServiceStatus, access: VoiceAccess) -> tuple[Item, ...]:
    if (body.input is None) == (body.items is None):
        raise InvalidField("Send either input, one text, or items, a list of them.", field="input")
    asked = body.items or [JobItemBody.model_validate({"input": body.input, "id": ONLY_ITEM})]
    num_chars, max_chars = sum(len(each.input) for each in asked), state.settings.max_job_chars
    if num_chars > max_chars:
        raise TextTooLong(f"The job has {num_chars} characters, at most {max_chars}; split it.", field="input")
    reference = None
    if body.reference_audio_b64 is not None:
        reference = await state.references.decode_base64(body.reference_audio_b64, "reference_audio_b64")
    items = [await _item(body, index, each, facts, reference) for index, each in enumerate(asked)]
    if len({item.id for item in items}) < len(items):
        raise InvalidField("Two items have the same id; give each one of its own.", field="items")
    await check_speakable(body.request_of(*(item.turn for item in items)), facts, access)
    return tuple(items)


async def _item(
    body: JobBody, index: int, asked: JobItemBody, facts: ServiceStatus, reference: Recording | None
) -> Item:
    field = "input" if body.items is None else f"items.{index}.input"
    text = check_text(asked.input, len(asked.input), field)
    language = asked.language if asked.language is not None else body.language
    code = await choose_language(language, text, default_language(facts), facts)
    voice = body.voice if asked.voice is None else asked.voice
    turn = make_turn(body, text, code, voice=voice, reference=reference if asked.voice is None else None)
    return Item(str(index + 1) if asked.id is None else asked.id, turn)


def _job(body: JobBody, items: tuple[Item, ...], model: str | None, owner: str | None) -> tuple[JobHead, JobWork]:
    seed = secrets.randbits(31) if body.seed is None else body.seed
    item_ids = tuple(item.id for item in items)
    parts = tuple(cut(items))
    head = JobHead(new_id(), owner, time.time(), body.response_format, body.items is not None, item_ids, parts)
    return head, JobWork(items, seed, body.sampling, Guards(**body.guards.model_dump()), model)


def _may_see(head: JobHead, access: VoiceAccess) -> bool:
    key = access.key
    return key is None or key.is_admin or head.owner == key.name


def _visible(store: JobStore, access: VoiceAccess, limit: int) -> Iterator[JobHead]:
    for job_id in store.ids():
        try:
            head = store.head(job_id)
        except JobNotFound:
            continue
        if _may_see(head, access):
            yield head
            limit -= 1
            if not limit:
                return


async def _find(job_id: str, store: JobStore, access: VoiceAccess) -> JobHead:
    head = await asyncio.to_thread(store.head, job_id)
    if not _may_see(head, access):
        raise JobNotFound(f"There is no job {job_id[:40]!r}; see GET /v1/jobs.")
    return head


async def _response(store: JobStore, head: JobHead) -> JobResponse:
    return _of(head, await asyncio.to_thread(store.progress, head))


def _of(head: JobHead, progress: Progress) -> JobResponse:
    return JobResponse(
        id=head.id,
        status=progress.status.value,
        created_at=datetime.fromtimestamp(head.created_s, UTC).isoformat(timespec="seconds"),
        response_format=head.response_format,
        items=list(head.item_ids),
        progress=JobProgress(
            parts_done=progress.num_parts_done,
            parts=len(head.parts),
            characters_done=progress.num_chars_done,
            characters=head.num_chars,
            audio_s=progress.audio_s,
            left_s=progress.left_s,
        ),
        error=progress.failure or None,
        warnings=list(progress.warnings),
    )


def _nonempty(blocks: Iterator[bytes]) -> Iterator[bytes]:
    return (block for block in blocks if block)
