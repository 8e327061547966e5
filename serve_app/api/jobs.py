"""/v1/jobs: long texts and lists of texts, spoken in the background. Only the API key that made a job sees it."""

import asyncio
import logging
import secrets
from datetime import UTC, datetime
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request, Response

from serve_app.api.body import read_json
from serve_app.api.deps import ApiState, StateDep, choose_model
from serve_app.api.errors import InvalidField
from serve_app.api.job_schemas import (
    JobBody,
    JobErrorResponse,
    JobItemBody,
    JobProgressResponse,
    JobResponse,
    JobsResponse,
)
from serve_app.api.observation import ObservationDep
from serve_app.api.schemas import AudioFormat, body_docs
from serve_app.api.turns import check_speakable, check_text, choose_language, default_language, make_turn
from serve_app.api.voice_access import VoiceAccess, VoiceAccessDep
from serve_app.audio.decode import MAX_DURATION_S
from serve_app.audio.pcm import Recording
from serve_app.errors import JobDamaged, ReferenceTooLong, ServiceError, TextTooLong
from serve_app.jobs.job import Head, Job, NewJob
from serve_app.speech.request import ServiceStatus, SpeechRequest, Turn

router = APIRouter(tags=["jobs"])

logger = logging.getLogger(__name__)

MAX_PAGE, USUAL_PAGE = 100, 20
SINGLE = "text"  # what the one text of a job without a list is called inside


@router.post("/v1/jobs", status_code=202, openapi_extra=body_docs(JobBody))
async def make_job(request: Request, state: StateDep, access: VoiceAccessDep, seen: ObservationDep) -> JobResponse:
    """Keeps the texts, to be spoken as the service has time; 202, and GET /v1/jobs/{id} says how far it is."""
    body = await read_json(request, JobBody)
    await asyncio.to_thread(state.jobs.check_may_keep, seen.client)
    model, facts = await choose_model(body.model, state)
    new = NewJob(
        texts=await _texts(body, state, facts, access),
        is_list=body.items is not None,
        response_format=body.response_format,
        model=model,
        model_name=facts.model,
        sample_rate_hz=facts.sample_rate_hz,
        seed=secrets.randbits(31) if body.seed is None else body.seed,
        sampling=body.sampling,
        guards=body.chosen_guards,
    )
    job = await asyncio.to_thread(state.jobs.create, seen.client, new)
    state.runner.wake()
    logger.info("the job %s has %d parts, %d characters", job.head.id, job.head.num_parts, job.head.num_chars)
    return _response(job, state)


@router.get("/v1/jobs")
async def jobs(
    state: StateDep,
    seen: ObservationDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = USUAL_PAGE,
    after: Annotated[str | None, Query(max_length=64, description="the last id of the page before")] = None,
) -> JobsResponse:
    """Yours, the newest first."""
    found, has_more = await asyncio.to_thread(state.jobs.page, seen.client, limit, after)
    return JobsResponse(data=[_response(job, state) for job in found], has_more=has_more)


@router.get("/v1/jobs/{job_id}")
async def job(job_id: str, state: StateDep, seen: ObservationDep) -> JobResponse:
    """How far it is."""
    folder = await asyncio.to_thread(state.jobs.find, seen.client, job_id)
    return _response(await asyncio.to_thread(folder.job), state)


@router.delete(
    "/v1/jobs/{job_id}",
    response_model=JobResponse,
    responses={204: {"description": "it was over, and is removed with its audio", "model": None}},
)
async def end_job(job_id: str, state: StateDep, seen: ObservationDep) -> Any:
    """Cancels a job that waits or is spoken (200); removes one that is over, with its audio (204)."""
    folder = await asyncio.to_thread(state.jobs.find, seen.client, job_id)
    try:
        found = await asyncio.to_thread(folder.job)
    except JobDamaged:
        found = None
    if found is None or found.state.status.is_over:
        await asyncio.to_thread(state.jobs.remove, folder)
        return Response(status_code=204)
    await asyncio.to_thread(folder.cancel)
    state.runner.wake()
    return _response(await asyncio.to_thread(folder.job), state)


async def _texts(
    body: JobBody, state: ApiState, facts: ServiceStatus, access: VoiceAccess
) -> tuple[tuple[str, Turn], ...]:
    """Checked as a live request's would be. An error names its item: "items.3.voice"."""
    if (body.input is None) == (body.items is None):
        raise InvalidField("Send either `input`, one text, or `items`, a list of them.", field="input")
    items = body.items if body.items is not None else [JobItemBody.model_validate({"input": body.input})]
    num_chars, max_chars = sum(len(item.input) for item in items), state.settings.max_job_chars
    if num_chars > max_chars:
        message = f"The job has {num_chars} characters, at most {max_chars} may be in one; make several of it."
        raise TextTooLong(message, field="input" if body.items is None else "items")
    ids = _ids(items) if body.items is not None else [SINGLE]
    recordings = _Recordings(state)
    turns: list[Turn] = []
    for index, item in enumerate(items):
        prefix = "" if body.items is None else f"items.{index}."
        try:
            turns.append(await _turn(body, item, state, facts, recordings))
            await check_speakable(SpeechRequest((turns[-1],)), facts, access)
        except ServiceError as error:
            error.field = f"{prefix}{'input' if error.field == 'text' else error.field}" if error.field else None
            raise
    return tuple(zip(ids, turns, strict=True))


async def _turn(
    body: JobBody, item: JobItemBody, state: ApiState, facts: ServiceStatus, recordings: "_Recordings"
) -> Turn:
    text = check_text(item.input, state.settings.max_job_chars, "text")
    asked = body.language if item.language is None else item.language
    language = await choose_language(asked, text, default_language(facts), facts)
    own = {name: value for name, value in item.model_dump(exclude={"id", "input"}).items() if value is not None}
    fields = body.model_copy(update={name: own[name] for name in own if name not in ("voice", "reference_audio_b64")})
    reference = await recordings.of(item.reference_audio_b64)
    if reference is None and item.voice is None:
        reference = await recordings.of(body.reference_audio_b64)
    return make_turn(fields, text, language, voice=item.voice or body.voice, reference=reference)


class _Recordings:
    """The recordings of one job: each decoded once, ten minutes together."""

    def __init__(self, state: ApiState) -> None:
        self._references = state.references
        self._decoded: dict[str, Recording] = {}

    async def of(self, base64: str | None) -> Recording | None:
        if base64 is None:
            return None
        if base64 not in self._decoded:
            self._decoded[base64] = await self._references.decode_base64(base64, "reference_audio_b64")
            if sum(recording.duration_s for recording in self._decoded.values()) > MAX_DURATION_S:
                message = f"The job's recordings are longer than {MAX_DURATION_S} s together; make several jobs of it."
                raise ReferenceTooLong(message, field="reference_audio_b64")
        return self._decoded[base64]


def _ids(items: list[JobItemBody]) -> list[str]:
    """Each item's, or its number. They become files' names in a ZIP, so none may be there twice, in whatever case."""
    ids = [item.id or str(index) for index, item in enumerate(items, 1)]
    seen: set[str] = set()
    for index, each in enumerate(ids):
        if each.lower() in seen:
            raise InvalidField(f"Two items have the id {each!r}; give each its own.", field=f"items.{index}.id")
        seen.add(each.lower())
    return ids


def _response(job: Job, api: ApiState) -> JobResponse:
    head, state = job.head, job.state
    failure, waiting_for = state.failure, state.waiting_for
    if _is_for_another(head, api.facts) and not state.status.is_over:
        waiting_for = f"It was made for the model {head.model_name}, which does not speak here now; delete it."
    return JobResponse(
        id=head.id,
        status=state.status.value,
        created_at=_time(head.created_at),
        started_at=None if state.started_at is None else _time(state.started_at),
        finished_at=None if state.finished_at is None else _time(state.finished_at),
        items=head.num_items if head.is_list else None,
        model=head.model_name,
        response_format=cast(AudioFormat, head.response_format),
        seed=head.seed,
        progress=JobProgressResponse(
            parts_done=state.num_parts_done,
            parts_total=head.num_parts,
            characters_done=state.num_chars_done,
            characters_total=head.num_chars,
            audio_s=round(state.audio_s, 3),
            seconds_left=None if job.seconds_left is None else round(job.seconds_left, 1),
        ),
        waiting_for=waiting_for,
        error=None if failure is None else JobErrorResponse(**vars(failure)),
        warnings=list(state.warnings),
    )


def _is_for_another(head: Head, facts: ServiceStatus | None) -> bool:
    return head.model is None and facts is not None and facts.model != head.model_name


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
